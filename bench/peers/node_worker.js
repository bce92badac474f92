// One worker of node-resque; its queue was filled with Resque's own payloads.
const fs = require("node:fs");
const Redis = require("ioredis");
const { Worker } = require("node-resque");

const jobs = {
  noop: { perform: async (number) => {} },
  mark: {
    perform: async (number) => {
      const now = process.hrtime.bigint();
      fs.writeFileSync(process.env.BENCH_MARKS, `${number} ${process.pid} ${now}\n`);
    },
  },
};

async function main() {
  const redis = new Redis(process.env.BENCH_REDIS);
  const worker = new Worker({ connection: { redis }, queues: ["bench"] }, jobs);
  await worker.connect();
  await worker.start();
}

main();
