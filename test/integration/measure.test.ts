import { strict as assert } from 'node:assert';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import { planSchema } from '../../engine/protocol/plan';
import {
  activated,
  hoverTextAt,
  lensesOf,
  lineOf,
  openFile,
  problemsOf,
  sampleFile,
  sampleFolder,
  until,
  workspaceFolder,
} from './support';

const planFile = (): vscode.Uri => vscode.Uri.joinPath(workspaceFolder(), 'measured.moeplan.json');

describe('the main job on the sample', () => {
  before(async () => {
    await activated();
    await vscode.commands.executeCommand('moeTuner.refreshCheckpoints');
  });

  it('profiles the sensitivity through the engine', async () => {
    const api = await activated();
    const folder = sampleFolder().fsPath;
    await vscode.commands.executeCommand('moeTuner.profile', folder);
    assert.equal(api.lastError(), undefined);
    const profile = api.checkpoint(folder)?.profile;
    assert.equal(profile?.layers.length, 8);
    assert.equal(profile.activeExperts, 4);
    for (const { raw } of profile.layers) {
      assert.equal(raw.length, 4);
      assert.equal(raw[3], 0);
      assert.ok(raw[0]! > raw[1]! && raw[1]! > raw[2]! && raw[2]! > 0, raw.join());
    }
    assert.equal(api.engineStatus().state, 'idle');
  });

  it('shows the profile at the end of its line and as a table in the hover', async () => {
    const api = await activated();
    const document = await openFile(sampleFile('config.json'));
    const [result] = api.inlineResults(document);
    assert.ok(result);
    assert.equal(result.stale, false);
    assert.match(result.text, /^Sensitivity at 2 of 4: layer \d changes most .* CoV \d/);
    const line = lineOf(document, '"num_experts_per_tok"');
    const text = await hoverTextAt(document.uri, new vscode.Position(line, 6));
    assert.match(text, /\| Layer \| k=1 \| k=2 \| k=3 \| k=4 \| CoV \|/);
    assert.equal([...text.matchAll(/^\| \d \|/gm)].length, 8, text);
    assert.match(text, /command:moeTuner\.profile/);
  });

  it('writes a plan with budgets and opens it', async () => {
    const api = await activated();
    const options = { objective: 'lexi', total: 20, out: planFile().fsPath };
    await vscode.commands.executeCommand('moeTuner.findBudgets', sampleFolder().fsPath, options);
    assert.equal(api.lastError(), undefined);
    assert.equal(vscode.window.activeTextEditor?.document.uri.fsPath, planFile().fsPath);
    const plan = planSchema.parse(JSON.parse(vscode.window.activeTextEditor.document.getText()));
    assert.equal(plan.activeExperts?.length, 8);
    assert.equal(
      plan.activeExperts.reduce((sum, count) => sum + count, 0),
      20,
    );
    assert.equal(plan.source?.fingerprint, api.checkpoint(sampleFolder().fsPath)?.summary?.fingerprint);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.deepEqual(problemsOf(planFile()), []);
  });

  it('says over a number of the plan which layer it is and what was measured there', async () => {
    const document = await openFile(planFile());
    const offset = document.getText().indexOf('[', document.getText().indexOf('"activeExperts": ['));
    const first = document.getText().slice(offset).search(/\d/) + offset;
    const text = await hoverTextAt(document.uri, document.positionAt(first));
    assert.match(text, /\*\*Decoder layer 0\*\*: \d of 4 active experts, 16 in all/);
    assert.match(text, /Sensitivity at k=\d/);
  });

  it('evaluates the plan against the baseline and shows it on plan and config', async () => {
    const api = await activated();
    const folder = sampleFolder().fsPath;
    const options = { tasks: [sampleFile('tasks.jsonl').fsPath] };
    await vscode.commands.executeCommand('moeTuner.evaluatePlan', planFile(), options);
    assert.equal(api.lastError(), undefined);
    const evaluation = api.checkpoint(folder)?.evaluations.at(-1);
    assert.equal(evaluation?.baseline, false);
    assert.ok(
      Math.abs((evaluation.baselineMeanAccuracy ?? 0) - 0.977) < 0.003,
      String(evaluation.baselineMeanAccuracy),
    );
    assert.ok((evaluation.meanAccuracy ?? 1) < 0.977);
    const document = await openFile(sampleFile('config.json'));
    const texts = api.inlineResults(document).map(({ text }) => text);
    assert.match(texts.join('\n'), /measured\.moeplan\.json: accuracy \d+\.\d % · Baseline: accuracy 97\.\d %/);
    const titles = (await lensesOf(planFile())).map(({ command }) => command?.title ?? '');
    assert.ok(titles.includes('Evaluate plan…'), titles.join());
    assert.match(titles.join('\n'), /2\.50 active experts per layer on average \(20 in 8 layers\)/);
    assert.match(titles.join('\n'), /measured\.moeplan\.json: accuracy/);
  });

  it('applies the plan to a folder of its own', async () => {
    const api = await activated();
    const titles = (await lensesOf(planFile())).map(({ command }) => command?.title ?? '');
    assert.ok(titles.includes('Apply…'), titles.join());
    const outside = await mkdtemp(path.join(tmpdir(), 'moe-tuner-applied-'));
    try {
      const options = { target: 'huggingface', out: path.join(outside, 'tuned') };
      await vscode.commands.executeCommand('moeTuner.applyPlan', planFile(), options);
      assert.equal(api.lastError(), undefined);
      const plan = planSchema.parse(JSON.parse(await readFile(planFile().fsPath, 'utf8')));
      const config = JSON.parse(await readFile(path.join(options.out, 'config.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      assert.deepEqual(config['moe_tuner_active_experts'], plan.activeExperts);
      assert.ok((await readdir(options.out)).includes('moe_tuner_loader.py'));
    } finally {
      await rm(outside, { recursive: true, force: true });
    }
  });

  it('marks results as stale when the text names another active-expert count', async () => {
    const api = await activated();
    const document = await openFile(sampleFile('config.json'));
    const edit = new vscode.WorkspaceEdit();
    const offset = document.getText().indexOf('"num_experts_per_tok": 4') + '"num_experts_per_tok": '.length;
    edit.replace(document.uri, new vscode.Range(document.positionAt(offset), document.positionAt(offset + 1)), '3');
    await vscode.workspace.applyEdit(edit);
    try {
      const [result] = api.inlineResults(document);
      assert.equal(result?.stale, true);
      assert.match(result.text, /stale$/);
    } finally {
      await vscode.commands.executeCommand('workbench.action.files.revert');
    }
    await until('the edit is reverted', () => !document.isDirty);
  });
});
