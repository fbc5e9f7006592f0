// A small engine for tests of the client: it speaks the protocol and misbehaves on request. What to do is named by the
// checkpoint of the request; how to start is named by environment variables.
import { appendFileSync } from 'node:fs';
import {
  CancellationToken,
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  ResponseError,
} from 'vscode-jsonrpc/node.js';

const { FAKE_ENGINE_PROTOCOL = '1', FAKE_ENGINE_START = 'normal', FAKE_ENGINE_STARTS_FILE } = process.env;

if (FAKE_ENGINE_STARTS_FILE) {
  appendFileSync(FAKE_ENGINE_STARTS_FILE, `${Date.now()}\n`);
}
if (FAKE_ENGINE_START === 'exit') {
  console.error('cannot load the runtime library');
  process.exit(3);
}
process.on('disconnect', () => process.exit(0));

const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const block = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

function profile(checkpoint, samples) {
  return {
    checkpoint,
    fingerprint: 'f00d',
    input: 'gaussian',
    samples,
    seed: 0,
    activeExperts: 2,
    layers: [{ index: 0, raw: [0.5, 0], relativeSquared: [0.25, 0], outputNorm: 1, coefficientOfVariation: 0.01 }],
    coefficientOfVariation: 0.01,
    seconds: 0.1,
    provider: 'cpu',
    resumedLayers: 0,
  };
}

const behaviours = {
  async ok({ job }) {
    await connection.sendNotification('job/progress', { job, fraction: 0.5, message: 'layer 1 of 2' });
    await connection.sendNotification('log', { level: 'info', message: 'half way' });
  },
  async crash() {
    console.error('fatal: device lost');
    await sleep(20);
    process.exit(7);
  },
  async hang({ job }) {
    await connection.sendNotification('job/stepStarted', { job, label: 'layer 3', deadlineSeconds: 0.3 });
    await sleep(20);
    block(60_000);
  },
  async silent() {
    await sleep(60_000);
  },
  async steps({ job }, token) {
    for (let step = 0; step < 200 && !token.isCancellationRequested; step++) {
      await connection.sendNotification('job/stepStarted', { job, label: `step ${step}`, deadlineSeconds: 1 });
      await sleep(20);
      await connection.sendNotification('job/stepEnded', { job });
    }
    if (token.isCancellationRequested) {
      throw new ResponseError(1, 'Cancelled.', { code: 'cancelled' });
    }
  },
  async deaf({ job }) {
    await connection.sendNotification('job/progress', { job, fraction: 0, message: 'deaf' });
    await sleep(60_000);
  },
  async malformedNotification() {
    await connection.sendNotification('job/progress', { job: 5, fraction: 'half' });
  },
  async refuse() {
    throw new ResponseError(1, 'config.json names no experts.', {
      code: 'notMixtureOfExperts',
      file: '/models/dense/config.json',
      wayOut: 'Open a mixture-of-experts checkpoint.',
    });
  },
};

connection.onRequest('initialize', async ({ params }) => {
  if (FAKE_ENGINE_START === 'hang') {
    await sleep(60_000);
  }
  if (FAKE_ENGINE_START === 'malformed') {
    return { hello: 'world' };
  }
  behaviours.settings = params.settings;
  return { protocolVersion: Number(FAKE_ENGINE_PROTOCOL), engineVersion: 'fake', processId: process.pid };
});
connection.onRequest('profile', async ({ job, params }, token = CancellationToken.None) => {
  const behaviour = behaviours[params.checkpoint];
  if (behaviour) {
    await behaviour({ job }, token);
  }
  if (params.checkpoint === 'malformed') {
    return { ...profile('malformed', params.samples), layers: 'none' };
  }
  return profile(params.checkpoint, params.samples);
});
/** A search that answers a cancellation with the best so far. */
connection.onRequest('budget', async ({ job, params }, token = CancellationToken.None) => {
  for (let step = 0; step < 200 && !token.isCancellationRequested; step++) {
    await connection.sendNotification('job/stepStarted', { job, label: `measurement ${step}`, deadlineSeconds: 1 });
    await sleep(20);
    await connection.sendNotification('job/stepEnded', { job });
  }
  return {
    checkpoint: params.checkpoint,
    fingerprint: 'f00d',
    objective: params.objective,
    solver: params.solver,
    layers: [0, 1],
    activeExperts: [1, 2],
    total: 3,
    predicted: 0.1,
    uniformPredicted: 0.2,
    front: [],
    interrupted: token.isCancellationRequested,
    seed: 0,
    seconds: 1,
  };
});
connection.onRequest('clearCache', async () => ({ freedBytes: behaviours.settings.threads }));
connection.listen();
