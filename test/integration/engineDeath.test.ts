import { strict as assert } from 'node:assert';
import * as vscode from 'vscode';
import { activated, sampleFolder, until } from './support';

/** Enough probe tokens that the job can be interrupted, with a seed of its own so that nothing is cached. */
const longProfile = { samples: 65_536, seed: 41 };

describe('an engine that is killed in the middle of a profile', () => {
  it('is reported, and the next request continues with the finished layers', async () => {
    const api = await activated();
    const folder = sampleFolder().fsPath;
    const before = api.checkpoint(folder)?.profile;
    const job = vscode.commands.executeCommand('moeTuner.profile', folder, longProfile);
    await until('some layers are finished', () => (api.jobFraction() ?? 0) >= 0.25);
    const processId = api.engineProcessId();
    assert.ok(processId);
    process.kill(processId, 'SIGKILL');
    await job;
    assert.match(api.lastError() ?? '', /ended by signal SIGKILL/);
    assert.equal(api.engineStatus().state, 'failed');
    assert.equal(api.checkpoint(folder)?.profile, before);

    await vscode.commands.executeCommand('moeTuner.profile', folder, longProfile);
    assert.equal(api.lastError(), undefined);
    const profile = api.checkpoint(folder)?.profile;
    assert.equal(profile?.seed, longProfile.seed);
    assert.ok(profile.resumedLayers >= 1, `${profile.resumedLayers} layers were resumed`);
    assert.ok(profile.resumedLayers < 8);
    assert.notEqual(api.engineProcessId(), processId);
    assert.equal(api.engineStatus().state, 'idle');
  });

  it('is replaced on request', async () => {
    const api = await activated();
    const processId = api.engineProcessId();
    await vscode.commands.executeCommand('moeTuner.restartEngine');
    assert.equal(api.engineStatus().state, 'idle');
    assert.notEqual(api.engineProcessId(), processId);
  });

  it('is not started by a cancelled job, and the job ends without an error', async () => {
    const api = await activated();
    const job = vscode.commands.executeCommand('moeTuner.profile', sampleFolder().fsPath, { ...longProfile, seed: 42 });
    await until('the job runs', () => api.jobFraction() !== undefined);
    await vscode.commands.executeCommand('moeTuner.cancelJob');
    await job;
    assert.equal(api.lastError(), undefined);
    assert.equal(api.jobFraction(), undefined);
    assert.notEqual(api.checkpoint(sampleFolder().fsPath)?.profile?.seed, 42);
  });
});
