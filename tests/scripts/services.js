// Node talks to itself and to others: http, sockets, workers that share memory, files,
// processes with pipes and messages.
const cp = require('child_process');
const dgram = require('dgram');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');
const { once } = require('events');
const { pipeline } = require('stream/promises');
const { Worker, isMainThread, workerData, MessageChannel } = require('worker_threads');
const { createGzip, createGunzip } = require('zlib');

const dir = isMainThread && !process.send ? fs.mkdtempSync(path.join(os.tmpdir(), 'node-')) : '';

async function read(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

function get(options, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(options, async (response) => {
      resolve([response.statusCode, (await read(response)).toString()]);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function web() {
  const server = http.createServer(async (request, response) => {
    const body = await read(request);
    if (request.url === '/missing') response.statusCode = 404;
    if (request.url === '/large') return response.end('x'.repeat(3000000));
    response.write(`${request.method} ${request.url} `);
    response.end(String(body.length));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  const all = [];
  for (let i = 0; i < 40; i++) {
    all.push(get({ port, host: '127.0.0.1', path: `/${i}`, method: 'POST', agent }, 'y'.repeat(i * 100)));
  }
  const answers = await Promise.all(all);
  console.log('http', answers.length, answers[7], answers[39]);
  console.log((await get({ port, host: '127.0.0.1', path: '/missing', agent }))[0]);
  console.log((await get({ port, host: '127.0.0.1', path: '/large', agent }))[1].length);
  console.log((await (await fetch(`http://127.0.0.1:${port}/fetched`)).text()));
  agent.destroy();
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
  const refused = await get({ port, host: '127.0.0.1' }).catch((error) => error.code);
  console.log(refused);
}

async function sockets() {
  const name = path.join(dir, 'socket');
  const server = net.createServer((socket) => socket.pipe(socket)).listen(name);
  await once(server, 'listening');
  const socket = net.connect(name);
  socket.end(Buffer.alloc(500000, 'z'));
  console.log('unix', (await read(socket)).length);
  server.close();
  const [one, two] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
  one.bind(0, '127.0.0.1');
  await once(one, 'listening');
  two.send('datagram', one.address().port, '127.0.0.1');
  console.log(String((await once(one, 'message'))[0]));
  one.close();
  two.close();
}

async function workers() {
  const shared = new Int32Array(new SharedArrayBuffer(16));
  const all = [1, 2, 3, 4].map((id) => new Worker(__filename, { workerData: { shared, id } }));
  await Promise.all(all.map((worker) => once(worker, 'online')));
  Atomics.store(shared, 1, 1);
  Atomics.notify(shared, 1);
  console.log('workers', (await Promise.all(all.map((worker) => once(worker, 'exit')))).flat());
  console.log(Atomics.load(shared, 0));
  const { port1, port2 } = new MessageChannel();
  port1.postMessage({ map: new Map([[1, new Uint8Array(3)]]) });
  console.log((await once(port2, 'message'))[0] ?? null);
  port1.close();
  const endless = new Worker('for (;;);', { eval: true });
  await once(endless, 'online');
  console.log('terminated', await endless.terminate());
}

async function files() {
  const file = path.join(dir, 'file');
  await fs.promises.writeFile(file, Buffer.alloc(2000000, 'abc'));
  await pipeline(fs.createReadStream(file), createGzip(), fs.createWriteStream(`${file}.gz`));
  await pipeline(fs.createReadStream(`${file}.gz`), createGunzip(), fs.createWriteStream(`${file}.2`));
  console.log('files', fs.readFileSync(file).equals(fs.readFileSync(`${file}.2`)));
  fs.mkdirSync(path.join(dir, 'a/b/c'), { recursive: true });
  fs.symlinkSync('../file', path.join(dir, 'a/link'));
  fs.copyFileSync(file, path.join(dir, 'a/b/copy'));
  const entries = await fs.promises.readdir(dir, { recursive: true, withFileTypes: true });
  console.log(entries.map((entry) => [entry.name, entry.isDirectory(), entry.isSymbolicLink()]).sort());
  const watcher = fs.watch(dir);
  const change = once(watcher, 'change');
  fs.renameSync(path.join(dir, 'a/b/copy'), path.join(dir, 'moved'));
  console.log('watch', await change);
  watcher.close();
  const handle = await fs.promises.open(file, 'r+');
  await handle.truncate(10);
  console.log((await handle.stat()).size, (await handle.read(Buffer.alloc(4), 0, 4, 8)).bytesRead);
  await handle.close();
  console.log(await fs.promises.readFile(path.join(dir, 'none')).catch((error) => error.code));
}

async function processes() {
  const sort = cp.spawn('sort', ['-n']);
  sort.stdin.end('3\n1\n2\n');
  console.log('processes', JSON.stringify((await read(sort.stdout)).toString()));
  const sleeper = cp.spawn('sleep', ['100']);
  sleeper.kill('SIGTERM');
  console.log(await once(sleeper, 'exit'));
  const shell = cp.spawnSync('sh', ['-c', 'cat; echo err >&2; exit 3'], { input: 'in' });
  console.log(shell.status, String(shell.stdout), String(shell.stderr));
  const forked = cp.fork(__filename, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  forked.send({ question: 6 });
  console.log((await once(forked, 'message'))[0]);
  console.log(await once(forked, 'exit'));
  console.log(cp.spawnSync('/nowhere/program').error.code);
  console.log(cp.execSync('sleep 9', { timeout: 50, stdio: 'ignore', killSignal: 'SIGKILL' }));
}

async function main() {
  for (const part of [web, sockets, workers, files]) await part();
  await processes().catch((error) => console.log(error.code, error.signal));
  fs.rmSync(dir, { recursive: true });
}

if (process.send) {
  process.once('message', ({ question }) => {
    process.send({ answer: question * 7 }, () => process.exit(4));
  });
} else if (isMainThread) {
  main();
} else {
  Atomics.wait(workerData.shared, 1, 0);
  for (let i = 0; i < 10000; i++) Atomics.add(workerData.shared, 0, workerData.id);
}
