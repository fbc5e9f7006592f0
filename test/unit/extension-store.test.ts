import { describe, expect, it } from 'vitest';
import { TunerError } from '../../engine/protocol/errors';
import { dashboardSnapshotSchema } from '../../engine/protocol/dashboard';
import { CheckpointStore } from '../../extension/config/checkpointStore';
import { buildSnapshot } from '../../extension/views/snapshot';
import { checkpointNode } from '../../extension/views/checkpointNodes';
import { dashboardHtml } from '../../extension/views/dashboardHtml';
import { budgetOf, evaluationOf, profileOf, summaryOf } from '../support/checkpointResults';

const folder = '/models/mixtral';

type Answers = Readonly<Record<string, () => unknown>>;

/** A store over an engine that answers from a table; counts the requests. */
function storeOver(answers: Answers): { store: CheckpointStore; requests: string[] } {
  const requests: string[] = [];
  const request = (name: string): Promise<never> => {
    requests.push(name);
    return Promise.resolve().then(() => answers[name]?.() as never);
  };
  return { store: new CheckpointStore({ request }), requests };
}

const emptyHistory = {
  fingerprint: 'f00d',
  profiles: [],
  budgets: [],
  calibrations: [],
  mergeRuns: [],
  quantizations: [],
  evaluations: [],
};
const healthy: Answers = { inspect: () => summaryOf(), history: () => emptyHistory };

describe('the store of checkpoints', () => {
  it('reads headers and history once for those that ask together', async () => {
    const history = {
      ...emptyHistory,
      profiles: [profileOf({ seed: 1 }), profileOf({ seed: 2 })],
      budgets: [budgetOf()],
    };
    const { store, requests } = storeOver({ ...healthy, history: () => history });
    store.add({ folder, label: 'mixtral' });
    const [entry] = await Promise.all([store.inspect(folder), store.inspect(folder)]);
    await store.inspect(folder);
    expect(requests).toEqual(['inspect', 'history']);
    expect(entry).toMatchObject({ state: 'ready', profile: { seed: 2 }, budget: { total: 3 } });
  });

  it('keeps a refusal, and asks again after a change', async () => {
    let broken = true;
    const inspect = (): unknown => {
      if (broken) {
        throw new TunerError('contradictoryConfig', 'Wrong.');
      }
      return summaryOf();
    };
    const { store } = storeOver({ ...healthy, inspect });
    store.add({ folder, label: 'mixtral' });
    expect(await store.inspect(folder)).toMatchObject({ state: 'failed', error: { code: 'contradictoryConfig' } });
    broken = false;
    expect((await store.inspect(folder)).state).toBe('failed');
    store.invalidate(folder);
    const entry = await store.inspect(folder);
    expect(entry.state).toBe('ready');
    expect(entry.error).toBeUndefined();
  });

  it('does not hold a dead engine against the checkpoint', async () => {
    const { store } = storeOver({
      inspect: () => {
        throw new TunerError('engineCrashed', 'Gone.');
      },
    });
    store.add({ folder, label: 'mixtral' });
    expect((await store.inspect(folder)).state).toBe('found');
  });

  it('keeps old results as stale when the files change', async () => {
    let fingerprint = 'f00d';
    const { store } = storeOver({ ...healthy, inspect: () => summaryOf({ fingerprint }) });
    await store.inspect(folder);
    store.addProfile(folder, profileOf());
    fingerprint = 'beef';
    store.invalidate(folder);
    const entry = await store.inspect(folder);
    expect(entry.profile).toBeDefined();
    expect(snapshotOf(store).stale).toBe(true);
  });

  it('keeps the newest measured run of every total, without fronts, and those of these weights in the snapshot', async () => {
    const measured = { kl: 0.02, logPerplexity: 1, accuracy: 0.5 };
    const older = budgetOf({ total: 2, activeExperts: [1, 1], measured: { ...measured, kl: 0.09 } });
    const stale = budgetOf({ total: 4, activeExperts: [2, 2], measured, fingerprint: 'beef' });
    const history = { ...emptyHistory, budgets: [older, stale, budgetOf()] };
    const { store } = storeOver({ ...healthy, history: () => history });
    const entry = await store.inspect(folder);
    expect(entry.measuredBudgets?.map(({ total }) => total)).toEqual([2, 4]);
    expect(entry.measuredBudgets?.[0]).not.toHaveProperty('front');
    store.addBudget(folder, budgetOf({ total: 2, activeExperts: [1, 1], measured }));
    store.addBudget(folder, budgetOf());
    const snapshot = snapshotOf(store);
    expect(dashboardSnapshotSchema.strict().parse(snapshot)).toEqual(snapshot);
    expect(snapshot.measuredBudgets).toMatchObject([{ total: 2, measured: { kl: 0.02 } }]);
    expect(snapshot.budget?.measured).toBeUndefined();
  });

  it('selects, removes and clears', async () => {
    const { store } = storeOver(healthy);
    store.add({ folder: '/b', label: 'b' });
    store.add({ folder: '/a', label: 'a' });
    expect(store.selected?.folder).toBe('/a');
    store.select('/b');
    store.select('/unknown');
    expect(store.selected?.folder).toBe('/b');
    await store.inspect('/b');
    store.addEvaluation('/b', evaluationOf());
    store.clearResults();
    expect(store.get('/b')).toMatchObject({ state: 'ready', evaluations: [] });
    store.remove('/b');
    expect(store.selected?.folder).toBe('/a');
  });
});

function snapshotOf(store: CheckpointStore): ReturnType<typeof buildSnapshot> {
  return buildSnapshot({
    status: { state: 'busy', message: 'working' },
    provider: 'cpu',
    checkpoints: store.all(),
    selected: store.selected,
    job: { title: 'Profiling', message: 'layer 1', fraction: 0.25 },
    lastError: new TunerError('outOfMemory', 'Too big.', { wayOut: 'Use the CPU.' }),
    trusted: true,
  });
}

describe('the snapshot for the dashboard', () => {
  it('is complete and follows the protocol', async () => {
    const { store } = storeOver(healthy);
    store.add({ folder, label: 'mixtral' });
    await store.inspect(folder);
    store.addProfile(folder, profileOf());
    store.addBudget(folder, budgetOf());
    store.addEvaluation(folder, evaluationOf());
    const snapshot = snapshotOf(store);
    expect(dashboardSnapshotSchema.strict().parse(snapshot)).toEqual(snapshot);
    expect(snapshot).toMatchObject({
      selected: folder,
      stale: false,
      engine: { state: 'busy', provider: 'cpu' },
      job: { fraction: 0.25 },
      error: { message: 'Too big.', wayOut: 'Use the CPU.' },
    });
    expect(snapshot.evaluations).toHaveLength(1);
  });

  it('of an empty workspace is valid too', () => {
    const { store } = storeOver(healthy);
    expect(dashboardSnapshotSchema.safeParse(snapshotOf(store)).success).toBe(true);
  });
});

describe('the tree', () => {
  it('shows facts, layers with budgets, and results', async () => {
    const { store } = storeOver(healthy);
    store.add({ folder, label: 'mixtral' });
    await store.inspect(folder);
    store.addProfile(folder, profileOf());
    store.addBudget(folder, budgetOf());
    store.addEvaluation(folder, evaluationOf());
    const root = checkpointNode(store.get(folder)!);
    expect(root.description).toBe('2 of 8 active');
    const layers = root.children.find(({ kind }) => kind === 'layers');
    expect(layers?.children.map(({ description }) => description)).toEqual([
      'dense',
      '1 (2) of 8 experts active',
      '2 (2) of 8 experts active',
    ]);
    const results = root.children.find(({ kind }) => kind === 'results');
    expect(results?.children.map(({ label }) => label)).toEqual(['Sensitivity', 'Budgets', 'Evaluation']);
    const ids = [root, ...root.children, ...(layers?.children ?? [])].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('shows why a checkpoint cannot be read', async () => {
    const { store } = storeOver({
      inspect: () => {
        throw new TunerError('missingShard', 'A shard is missing.', { wayOut: 'Download it.' });
      },
    });
    await store.inspect(folder);
    const [problem] = checkpointNode(store.get(folder)!).children;
    expect(problem).toMatchObject({ kind: 'problem', label: 'A shard is missing.', description: 'Download it.' });
  });
});

describe('the page of the dashboard', () => {
  const html = dashboardHtml({
    scriptUri: 'https://host/dashboard.js?a=1&b="2"',
    styleUri: 'https://host/dashboard.css',
    cspSource: 'https://host',
    nonce: 'NONCE',
    language: 'de',
    title: 'A <b> & "c"',
  });

  it('allows its own script and nothing else', () => {
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1];
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'nonce-NONCE'");
    expect(policy).not.toMatch(/unsafe|script-src[^;]*https/);
    expect([...html.matchAll(/<script/g)]).toHaveLength(1);
    expect(html).toContain('<meta property="csp-nonce" content="NONCE">');
  });

  it('escapes what it is given and has the root that the script looks for', () => {
    expect(html).toContain('<title>A &lt;b&gt; &amp; &quot;c&quot;</title>');
    expect(html).toContain('?a=1&amp;b=&quot;2&quot;"');
    expect(html).toContain('<html lang="de">');
    expect(html).toContain('<main id="root"></main>');
  });
});
