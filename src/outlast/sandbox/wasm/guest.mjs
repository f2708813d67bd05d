// The untrusted half of a Pyodide session: CPython in WebAssembly, in a worker that loses its last permission and all
// that a page or a program of Deno has before guest code runs. See main.mjs.

const deno = globalThis.Deno;
const post = globalThis.postMessage.bind(globalThis);
const decoder = new TextDecoder();
const quiet = () => {};

// What JavaScript code can do here is little without permissions, and Python code sees none of it: this is the second fence.
const KEPT = new Set([
  ...["Object", "Function", "Array", "Number", "Boolean", "String", "Symbol", "BigInt", "Date", "Promise", "RegExp", "Error"],
  ...["AggregateError", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError", "SuppressedError"],
  ...["JSON", "Math", "Intl", "Atomics", "Reflect", "Proxy", "Map", "Set", "WeakMap", "WeakSet", "WeakRef", "Iterator"],
  ...["FinalizationRegistry", "ArrayBuffer", "SharedArrayBuffer", "DataView", "Uint8Array", "Int8Array", "Uint16Array"],
  ...["Int16Array", "Uint32Array", "Int32Array", "Float16Array", "Float32Array", "Float64Array", "Uint8ClampedArray"],
  ...["BigUint64Array", "BigInt64Array", "WebAssembly", "globalThis", "Infinity", "NaN", "undefined", "parseInt", "parseFloat"],
  ...["isNaN", "isFinite", "decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "unescape"],
  ...["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "clearImmediate", "queueMicrotask"],
  ...["TextDecoder", "TextEncoder", "URL", "performance", "crypto", "self", "DOMException", "WorkerGlobalScope"],
  ...["dispatchEvent", "addEventListener", "removeEventListener", "onmessage", "onerror"],
  ...["MessageChannel", "MessagePort", "AbortController", "AbortSignal", "Event", "EventTarget", "Response", "Headers"],
]);

function strip() {
  for (let object = globalThis; object && object !== Object.prototype; object = Object.getPrototypeOf(object)) {
    for (const name of Reflect.ownKeys(object)) {
      if (KEPT.has(name) || typeof name === "symbol" || name === "constructor") continue;
      Reflect.deleteProperty(object, name);
    }
  }
}

async function open({ folder, wasm, stdlib, snapshot, lock, make }) {
  globalThis.location = { href: folder, toString: () => folder };
  globalThis.console = { log: quiet, warn: quiet, error: quiet, info: quiet, debug: quiet };
  globalThis.fetch = async (address) => {
    if (String(address).endsWith(".wasm")) return new Response(wasm, { headers: { "content-type": "application/wasm" } });
    if (String(address).endsWith(".zip")) return new Response(stdlib);
    throw new TypeError("nothing is fetched here");
  };
  const { loadPyodide } = await import(`${folder}pyodide.mjs`);
  const python = await loadPyodide({
    indexURL: folder,
    lockFileContents: JSON.parse(decoder.decode(lock)),
    jsglobals: Object.create(null),
    stdin: () => null,
    stdout: quiet,
    stderr: quiet,
    env: { HOME: "/home/guest" },
    _makeSnapshot: make,
    _loadSnapshot: snapshot,
  });
  delete globalThis.fetch;
  delete globalThis.Response;
  delete globalThis.Headers;
  return python;
}

globalThis.onmessage = async (event) => {
  const { code, hello, control, reply, make } = event.data;
  strip();
  const python = await open(event.data);
  deno.permissions.revokeSync({ name: "read" });
  const [worker, guest] = code;
  if (make) {
    python.runPython(PRELOADED);
    post(python.makeMemorySnapshot());
    return;
  }

  const tell = (kind, text) => post({ kind, text });
  const ask = (text) => {
    Atomics.store(control, 0, 0);
    tell("call", text);
    Atomics.wait(control, 0, 0);
    return decoder.decode(new Uint8Array(reply).slice(0, Atomics.load(control, 0) - 1));
  };
  const heap = () => python._module.HEAP8.length;
  python.setInterruptBuffer(new Int32Array(control.buffer, 4, 1));
  const names = python.toPy({});
  python.runPython(guest, { globals: names });
  const run = names.get("start")(worker, JSON.stringify(hello), ask, heap);
  globalThis.onmessage = async (message) => {
    let text = LOST; // the interpreter could not even say what went wrong
    try {
      text = await run.callPromising(message.data);
    } catch (error) {
      if (/MemoryError|SystemError|out of memory/.test(String(error))) text = text.replace("crash", "memory");
    }
    tell("done", text);
  };
  tell("ready", '{"ready": true}');
};

const LOST = '{"done": {"stdout": "", "stopped": "crash", "state_lost": true}}';
const PRELOADED = `
import abc, ast, asyncio, base64, bisect, calendar, collections, contextlib, copy, csv, dataclasses, datetime, decimal
import enum, fractions, functools, hashlib, heapq, inspect, io, itertools, json, linecache, math, operator, os, random, re
import secrets, signal, statistics, string, sys, textwrap, threading, time, traceback, types, typing, uuid
`;
