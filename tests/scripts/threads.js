// Threads of Node: workers, the pool behind files and cryptography, timers, signals, processes.
const { execFileSync } = require('child_process');
const { pbkdf2 } = require('crypto');
const { promises: files } = require('fs');
const { promisify } = require('util');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { gzip } = require('zlib');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function work(divisor) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: divisor });
    worker.on('message', resolve);
    worker.on('error', reject);
  });
}

async function main() {
  console.log('workers', await Promise.all([3, 5, 7].map(work)));
  await files.writeFile('/tmp/threads.txt', 'crab');
  console.log((await files.readFile('/tmp/threads.txt')).toString());
  await sleep(20);
  console.log(execFileSync('/bin/echo', ['a child']).toString());
  let keep = [];
  for (let i = 0; i < 200000; i++) {
    keep.push({ i });
    if (keep.length > 1000) keep = [];
  }
  process.on('SIGUSR2', () => console.log('signal'));
  process.kill(process.pid, 'SIGUSR2');
  await sleep(50);
  console.log((await promisify(gzip)(Buffer.alloc(100000))).length < 1000);
  console.log((await promisify(pbkdf2)('a', 'b', 1000, 16, 'sha256')).toString('hex'));
}

if (isMainThread) {
  main();
} else {
  let sum = 0;
  for (let i = 0; i < 1e6; i++) sum += i % workerData;
  parentPort.postMessage(sum);
}
