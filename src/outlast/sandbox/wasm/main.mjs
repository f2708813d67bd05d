// The trusted half of a Pyodide session, run by Deno: it alone holds stdin, stdout and the nonce of the session, and
// passes lines between the host and the interpreter, which runs in a worker without any permission (guest.mjs).
//
// Arguments: the address of the folder of Pyodide; then "make" to write the snapshot of a started interpreter there, or
// the addresses of wheels to install.
// Lines are those of worker.py: each that goes out is led by the nonce, which the guest never sees.

const folder = new URL(Deno.args[0]); // ends in a slash
const make = Deno.args[1] === "make";
const wheels = make ? [] : Deno.args.slice(1).map((address) => new URL(address));
const here = new URL(".", import.meta.url);
const decoder = new TextDecoder();
const encoder = new TextEncoder();
const SIGALRM = 14;

const control = new Int32Array(new SharedArrayBuffer(8)); // 0: bytes of the reply + 1, or 0 while there is none; 1: signal
let reply = null; // bytes of the reply that the guest waits for
let nonce = "";
let owed = false; // whether the host waits for a line
let waiting = false; // whether the guest waits for the reply of a tool
let alarm = 0;

async function* lines(stream) {
  let parts = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, at));
      yield join(parts);
      parts = [];
      from = at + 1;
    }
    if (from < chunk.length) parts.push(chunk.slice(from));
  }
}

function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function send(text) {
  const bytes = encoder.encode(`${nonce} ${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function arm(seconds) {
  clearTimeout(alarm);
  Atomics.store(control, 1, 0);
  alarm = setTimeout(() => Atomics.store(control, 1, SIGALRM), Math.min(seconds * 1000, 2 ** 31 - 1));
}

function answer(bytes) {
  waiting = false;
  if (bytes.length > reply.byteLength) reply.grow(bytes.length);
  new Uint8Array(reply).set(bytes);
  Atomics.store(control, 0, bytes.length + 1);
  Atomics.notify(control, 0);
}

// What the guest says is text that goes on to the host, which believes nothing of it; only its form is seen to here.
function heard(data) {
  if (data instanceof Uint8Array && make) {
    Deno.writeFileSync(new URL("snapshot.bin", folder), data, { mode: 0o600 });
    Deno.exit(0);
  }
  if (!owed || typeof data?.text !== "string" || /[^\x20-\x7f]/.test(data.text)) Deno.exit(4);
  clearTimeout(alarm);
  owed = false;
  waiting = data.kind === "call";
  send(data.text);
}

function start(hello) {
  const worker = new Worker(new URL("guest.mjs", here), {
    type: "module",
    name: "guest",
    deno: {
      permissions: { read: [folder], write: false, net: false, env: false, run: false, ffi: false, sys: false, import: false },
    },
  });
  // The guest's code is read with this permission, and says first that it is there: a busy machine may take its time.
  worker.onmessage = (event) => {
    Deno.permissions.revokeSync({ name: "read" });
    worker.onmessage = (next) => heard(next.data);
    if (event.data !== "loaded") heard(event.data);
  };
  worker.onmessageerror = () => Deno.exit(4);
  worker.onerror = (event) => {
    event.preventDefault();
    console.error(String(event.message).slice(0, 2000));
    Deno.exit(3);
  };
  const read = (name) => Deno.readFileSync(new URL(name, folder));
  const source = (path) => Deno.readTextFileSync(new URL(path, here));
  const given = { wasm: read("pyodide.asm.wasm"), stdlib: read("python_stdlib.zip"), lock: read("pyodide-lock.json") };
  if (!make) given.snapshot = read("snapshot.bin");
  const packages = wheels.map((address) => Deno.readFileSync(address));
  const owned = [...Object.values(given), ...packages].map((bytes) => bytes.buffer);
  const code = [source("../worker.py"), source("guest.py")];
  worker.postMessage({ ...given, folder: folder.href, packages, code, hello, control, reply, make }, owned);
  return worker;
}

if (make) {
  start(null);
} else {
  let worker = null;
  for await (const line of lines(Deno.stdin.readable)) {
    owed = true;
    if (worker === null) {
      const { nonce: secret, ...hello } = JSON.parse(decoder.decode(line));
      nonce = secret;
      reply = new SharedArrayBuffer(1 << 16, { maxByteLength: 8 * hello.value + (1 << 17) });
      worker = start(hello);
      continue;
    }
    const text = decoder.decode(line);
    arm(JSON.parse(text).seconds);
    if (waiting) answer(line);
    else worker.postMessage(text);
  }
  Deno.exit(0);
}
