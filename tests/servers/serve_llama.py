"""Makes a tiny model, starts llama.cpp's HTTP server with it and prints its address; ends when its input does.

python serve_llama.py MODEL.gguf
"""

from __future__ import annotations

import sys
from pathlib import Path

import xllamacpp
from tiny_gguf import write_model

params = xllamacpp.CommonParams()
params.model.path = str(write_model(Path(sys.argv[1])))
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 8192
params.n_parallel = 4
params.n_threads_http = 8
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.warmup = False
params.ui = False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
