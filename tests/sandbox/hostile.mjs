// In the place of guest.mjs: what code could do that has broken out of WebAssembly into JavaScript, with nothing stripped.

const tried = {};

async function attempt(name, action) {
  try {
    const got = await action();
    tried[name] = `ESCAPED: ${String(got).slice(0, 100)}`;
  } catch (error) {
    tried[name] = `${error?.name}: ${String(error?.message).slice(0, 100)}`;
  }
}

async function attemptAll(folder) {
  await attempt("read", () => Deno.readTextFileSync("/etc/passwd"));
  await attempt("read the folder", () => Deno.readTextFileSync(new URL("pyodide.mjs", folder)));
  await attempt("list", () => [...Deno.readDirSync("/")].length);
  await attempt("write", () => Deno.writeTextFileSync("/tmp/outlast-escaped", "x"));
  await attempt("run", () => new Deno.Command("/usr/bin/id").outputSync().success);
  await attempt("environment", () => Object.keys(Deno.env.toObject()).length);
  await attempt("network", () => Deno.connect({ port: 80 }));
  await attempt("listen", () => Deno.listen({ port: 0 }));
  await attempt("fetch", () => fetch("http://127.0.0.1/"));
  await attempt("fetch a file", () => fetch("file:///etc/passwd"));
  await attempt("library", () => Deno.dlopen("libc.so.6", {}));
  await attempt("system", () => Deno.hostname());
  await attempt("kill", () => Deno.kill(Deno.ppid, "SIGTERM"));
  await attempt("node:fs", async () => (await import("node:fs")).readFileSync("/etc/passwd"));
  await attempt("node:child_process", async () => (await import("node:child_process")).execSync("id"));
  await attempt("node:net", async () => new Promise((_, no) => import("node:net").then((net) => net.connect(80).on("error", no))));
  await attempt("import a file", () => import("/etc/hostname"));
  await attempt("import from afar", () => import("https://example.org/x.mjs"));
  await attempt("import from npm", () => import("npm:left-pad"));
  await attempt("eval", () => (0, eval)("1 + 1"));
  await attempt("function", () => new Function("return 1")());
  await attempt("ask for more", async () => {
    const { state } = await Deno.permissions.request({ name: "read" });
    if (state !== "granted") throw new Error(state);
  });
  await attempt("a worker with more", () => new Promise((yes, no) => {
    const code = "data:text/javascript,postMessage(Deno.readTextFileSync('/etc/passwd'))";
    const worker = new Worker(code, { type: "module", deno: { permissions: { read: true } } });
    worker.onmessage = (message) => yes(message.data);
    worker.onerror = (error) => { error.preventDefault(); no(new Error(error.message)); };
  }));
  return tried;
}

const bytes = (text) => new TextEncoder().encode(text);
const done = (value) => postMessage({ kind: "done", text: JSON.stringify({ done: { value, stdout: "" } }) });

const ACTS = {
  escape: async (folder) => done(await attemptAll(folder)),
  forge: async () => {
    const forged = '{"done": {"value": "FORGED", "stdout": ""}}\n';
    for (const nonce of ["", `${"0".repeat(32)} `, "undefined "]) {
      Deno.stdout.writeSync(bytes(nonce + forged));
      console.log(nonce + forged);
      (await import("node:fs")).writeSync(1, nonce + forged);
    }
    done("honest");
  },
  "two lines in one": () => postMessage({ kind: "done", text: '{}\n{"done": {"value": "FORGED", "stdout": ""}}' }),
  "no message": () => postMessage(new Map()),
  "two messages": () => {
    done(1);
    done("FORGED");
    for (;;);
  },
  "too long": () => done("x".repeat(64 << 20)),
  flood: () => {
    for (;;) Deno.stdout.writeSync(bytes("x".repeat(1 << 16)));
  },
};

globalThis.onmessage = (event) => {
  Deno.permissions.revokeSync({ name: "read" });
  globalThis.onmessage = (message) => ACTS[JSON.parse(message.data).code](event.data.folder);
  postMessage({ kind: "ready", text: '{"ready": true}' });
};
