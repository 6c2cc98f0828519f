// Node: JavaScript that is interpreted and compiled, promises, timers, workers, processes, files and sockets.
const { execFileSync, spawn } = require("child_process");
const fs = require("fs");
const net = require("net");
const os = require("os");
const path = require("path");
const { Worker, isMainThread, parentPort } = require("worker_threads");

function probe() {
  process.ppid;
  if (!fs.existsSync("/")) throw new Error("no root");
}

function deep(levels) {
  if (levels === 0) {
    probe();
    return 0;
  }
  return [levels].map(() => deep(levels - 1) + 1)[0];
}

function hot(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    sum = (sum * 31 + i) | 0;
    if (i % 20000 === 0) probe();
  }
  return sum;
}

function files() {
  const folder = fs.mkdtempSync(path.join(process.cwd(), "n"));
  for (let n = 0; n < 100; n++) fs.writeFileSync(path.join(folder, String(n)), "x".repeat(n));
  const total = fs.readdirSync(folder).reduce((sum, name) => sum + fs.statSync(path.join(folder, name)).size, 0);
  fs.rmSync(folder, { recursive: true });
  return total;
}

function conversation(rounds) {
  return new Promise((resolve) => {
    const server = net.createServer((caller) => caller.on("data", (data) => caller.end(String(data).toUpperCase())));
    server.listen(0, "127.0.0.1", async () => {
      let total = 0;
      for (let n = 0; n < rounds; n++) {
        total += await new Promise((done) => {
          const caller = net.connect(server.address().port, "127.0.0.1", () => caller.write("hello"));
          caller.on("data", (data) => done(data.length));
        });
        probe();
      }
      server.close(() => resolve(total));
    });
  });
}

async function main() {
  console.log(deep(100), hot(2000000), files());
  console.log([5, 3, 8].sort((a, b) => (probe(), a - b)), "a-b-c".replace(/-/g, () => (probe(), "+")));
  console.log(String(execFileSync("echo", ["from a child"])).trim());
  console.log(await conversation(20));
  const child = spawn("cat");
  child.stdin.end("through a pipe");
  for await (const text of child.stdout) console.log(String(text));
  const worker = new Worker(__filename);
  console.log(await new Promise((resolve) => worker.on("message", resolve)));
  await worker.terminate();
  console.log((await Promise.all([1, 2, 3].map(async (n) => (await fs.promises.stat("/"), n * 2)))).join());
  // Waiting for a signal alone does not keep the event loop running.
  const alive = setInterval(() => {}, 1000);
  const caught = new Promise((resolve) => process.once("SIGUSR2", resolve));
  process.kill(process.pid, "SIGUSR2");
  console.log(await caught);
  clearInterval(alive);
  process.exitCode = 4;
}

if (isMainThread) main();
else parentPort.postMessage(deep(50) + hot(200000));
