// node-resque at the command of a test: one JSON object a line on stdin, one a line on stdout.
//
//   {"on": "queue", "call": "enqueue", "args": ["mail", "send", [1]]}
//   {"value": true}    or    {"error": "..."}
//
// "on" is queue, scheduler, or worker; {"start": {"name": ..., "queues": [...]}} makes the worker.
// Its jobs push what they have to say to the list `peer:answers`.

const readline = require("node:readline");
const Redis = require("ioredis");
const { Queue, Scheduler, Worker } = require("node-resque");

const socket = process.argv[2];
const redis = () => new Redis(socket);
const connection = () => ({ connection: { redis: redis() } });
const peers = {};
const complaints = []; // what node-resque has emitted as errors

const jobs = {
  add: {
    perform: async (a, b) => {
      await answers.rpush("peer:answers", JSON.stringify(a + b));
    },
  },
  remember: {
    perform: async (...args) => {
      await answers.rpush("peer:answers", JSON.stringify(args));
    },
  },
  wait: {
    perform: async (name) => {
      await answers.rpush("peer:answers", JSON.stringify("waiting"));
      await waiting.blpop(`peer:go:${name}`, 0);
      await answers.rpush("peer:answers", JSON.stringify("waited"));
    },
  },
  boom: {
    perform: async (...args) => {
      throw new TypeError(`bööm ${JSON.stringify(args)}`);
    },
  },
};

const answers = redis();
const waiting = redis();

async function connected(name, peer) {
  peer.on("error", (error) => complaints.push(String(error)));
  await peer.connect();
  peers[name] = peer;
}

async function obey(command) {
  if (command.start) {
    const options = { ...connection(), timeout: 20, ...command.start };
    await connected("worker", new Worker(options, jobs));
    await peers.worker.start();
    return peers.worker.name;
  }
  if (command.on === "complaints") return complaints.splice(0);
  return (await peers[command.on][command.call](...(command.args || []))) ?? null;
}

async function main() {
  await connected("queue", new Queue(connection(), jobs));
  await connected("scheduler", new Scheduler({ ...connection(), stuckWorkerTimeout: 1 }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const answer = await obey(JSON.parse(line)).then(
      (value) => ({ value }),
      (error) => ({ error: String(error) }),
    );
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(0);
}

main();
