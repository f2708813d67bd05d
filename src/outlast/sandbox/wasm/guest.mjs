// The untrusted half of a Pyodide session: CPython in WebAssembly, in a worker that loses its last permission and all
// that a page or a program of Deno has before guest code runs. See main.mjs.

const deno = globalThis.Deno;
const post = globalThis.postMessage.bind(globalThis);
const decoder = new TextDecoder();
const quiet = () => {};

const LOST = '{"done": {"stdout": "", "stopped": "crash", "state_lost": true}}';
const PRELOADED = `
import abc, ast, asyncio, base64, bisect, calendar, collections, contextlib, copy, csv, dataclasses, datetime, decimal
import enum, fractions, functools, hashlib, heapq, inspect, io, itertools, json, linecache, math, operator, os, random, re
import secrets, signal, statistics, string, sys, textwrap, threading, time, traceback, types, typing, uuid
`;

// What is left of the globals. Python code sees none of them, and code in JavaScript can do little without permissions.
const KEPT = new Set(`
  Object Function Array Number Boolean String Symbol BigInt Date Promise RegExp JSON Math Intl Atomics Reflect Proxy
  Map Set WeakMap WeakSet WeakRef Iterator FinalizationRegistry WebAssembly
  Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError DOMException
  ArrayBuffer SharedArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array
  Uint32Array BigInt64Array BigUint64Array Float16Array Float32Array Float64Array
  globalThis self Infinity NaN undefined parseInt parseFloat isNaN isFinite
  decodeURI decodeURIComponent encodeURI encodeURIComponent TextDecoder TextEncoder URL performance crypto
  setTimeout clearTimeout queueMicrotask MessageChannel MessagePort AbortController AbortSignal Response Headers
  WorkerGlobalScope EventTarget dispatchEvent addEventListener removeEventListener onmessage onerror
`.split(/\s+/));

function strip() {
  for (let object = globalThis; object && object !== Object.prototype; object = Object.getPrototypeOf(object)) {
    for (const name of Reflect.ownKeys(object)) {
      if (KEPT.has(name) || typeof name === "symbol" || name === "constructor") continue;
      Reflect.deleteProperty(object, name);
    }
  }
}

// Callbacks of the guest, such as those of asyncio, run only while its code is run: afterwards nothing of it goes on.
let running = false;
let parked = [];
const later = globalThis.setTimeout.bind(globalThis);
const gate = (callback) => (running ? callback() : parked.push(callback));

function run() {
  running = true;
  for (const callback of parked) later(() => gate(callback), 0);
  parked = [];
}

const RealChannel = globalThis.MessageChannel;

class Channel {
  constructor() {
    const { port1, port2 } = new RealChannel();
    this.port1 = { set onmessage(callback) { port1.onmessage = () => gate(callback); } };
    this.port2 = { postMessage: () => port2.postMessage(0) };
  }
}

async function open({ folder, wasm, stdlib, snapshot, lock, make }) {
  globalThis.location = { href: folder, toString: () => folder };
  globalThis.setTimeout = (callback, delay) => later(() => gate(callback), delay);
  globalThis.MessageChannel = Channel;
  globalThis.console = { log: quiet, warn: quiet, error: quiet, info: quiet, debug: quiet };
  globalThis.fetch = async (address) => {
    if (String(address).endsWith(".wasm")) return new Response(wasm, { headers: { "content-type": "application/wasm" } });
    if (String(address).endsWith(".zip")) return new Response(stdlib);
    throw new TypeError("nothing is fetched here");
  };
  running = true;
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
  running = false;
  delete globalThis.fetch;
  delete globalThis.Response;
  delete globalThis.Headers;
  return python;
}

globalThis.onmessage = async (event) => {
  const { packages, code, hello, control, reply, make } = event.data;
  strip();
  const python = await open(event.data);
  deno.permissions.revokeSync({ name: "read" });
  const [worker, guest] = code;
  if (make) {
    python.runPython(PRELOADED);
    post(python.makeMemorySnapshot());
    return;
  }

  for (const wheel of packages) python.unpackArchive(wheel, "wheel");

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
  const execute = names.get("start")(worker, JSON.stringify(hello), ask, heap);
  globalThis.onmessage = async (message) => {
    let text = LOST; // the interpreter could not even say what went wrong
    run();
    try {
      text = await execute.callPromising(message.data);
    } catch (error) {
      if (/MemoryError|SystemError|out of memory/.test(String(error))) text = text.replace("crash", "memory");
    }
    running = false;
    tell("done", text);
  };
  tell("ready", '{"ready": true}');
};

post("loaded");
