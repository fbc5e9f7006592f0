/** Every text the webviews show, in English, as whole sentences with named placeholders. */
export const english = {
  dashboardTitle: 'MoE Tuner dashboard',
  loading: 'Loading…',
  readingCheckpoint: 'Reading the checkpoint…',
  untrustedTitle: 'Restricted Mode',
  untrustedText:
    'MoE Tuner reads and runs models only in workspaces you trust. Use “Workspaces: Manage Workspace Trust” to trust this one.',
  noCheckpointTitle: 'No checkpoint yet',
  noCheckpointText:
    'Open a folder that holds a mixture-of-experts model (config.json and *.safetensors), or try the bundled sample.',
  openSample: 'Open sample',
  openCheckpoint: 'Open checkpoint…',
  openConfig: 'Open config.json',
  unreadableMessage: 'The extension sent data that this view cannot read.',
  unreadableWayOut: 'Reload the window; if it happens again, the log says more.',
  engineFailed: 'The engine stopped working.',
  showLog: 'Show log',
  cancel: 'Cancel',
  stopAndKeep: 'Stop and keep best',
  stopping: 'Stopping…',
  staleText: 'The checkpoint changed after these numbers were measured. Profile and evaluate again.',
  checkpoint: 'Checkpoint',
  profile: 'Profile sensitivity',
  findBudgets: 'Find budgets',
  evaluate: 'Evaluate',
  actions: 'Actions',
  busyReason: 'Wait until the running job ends, or cancel it.',
  blockUnsupported: 'Profiling is not available for this model: {reason}',
  forwardUnsupported: 'Evaluation is not available for this model: {reason}',
  noReason: 'the engine gave no reason.',
  factFamily: 'Family',
  factExperts: 'Experts',
  factExpertsValue: '{active} of {experts} active',
  factLayers: 'MoE layers',
  factLayersValue: '{moe} of {layers}',
  factParameters: 'Parameters',
  factParametersValue: '{total}, {active} active',
  factSize: 'Size',
  factSizeValue: '{total} {dtype}',
  factExpertSize: 'In experts',
  factExpertSizeValue: '{size} ({share})',
  overview: 'Overview',
  engineLine: 'Engine {state}',
  engineLineProvider: 'Engine {state} · {provider}',
  engineStopped: 'stopped',
  engineStarting: 'starting',
  engineIdle: 'idle',
  engineBusy: 'busy',
  engineFailedState: 'failed',
  showTable: 'Show numbers as a table: {section}',
  sensitivityTitle: 'Sensitivity',
  sensitivityEmpty: 'Not profiled yet. Profiling needs only the weights: no data, no training.',
  measure: 'Measure',
  measureRaw: 'Output change (LExI)',
  measureRelative: 'Relative squared change',
  layerAxis: 'Layer',
  expertsAxis: 'Active experts',
  heatMapGrid: 'Output change by layer and number of active experts',
  heatMapHint: 'Arrow keys move through the cells, Home and End to the first and last number of experts.',
  heatMapSentence:
    'Heat map of {rows} layers by {columns} numbers of active experts: values from {minimum} to {maximum}, mean {mean}; largest in layer {layer} with {k} active.',
  heatMapCell: 'Layer {layer}, {k} active: {value}',
  heatMapCellChosen: 'Layer {layer}, {k} active: {value} (chosen)',
  heatMapChosenLegend: 'chosen budget',
  profileNote: '{samples} {input} samples, variation {variation}, {seconds}, {provider}',
  notMeasured: 'not measured',
  budgetTitle: 'Budget per layer',
  budgetEmpty: 'No budgets yet. Find budgets distributes the active experts over the layers.',
  budgetGrid: 'Chosen active experts per layer',
  budgetHint: 'Arrow keys move through the layers.',
  budgetSentence:
    'Bar chart of the active experts chosen for {rows} layers: from {minimum} in layer {minimumLayer} to {maximum} in layer {maximumLayer}, {total} in total, {average} on average.',
  budgetCell: 'Layer {layer}: {chosen} of {trained} active',
  budgetNote: '{objective} objective, {solver} solver: {predicted} predicted, {uniform} for the uniform control',
  budgetNoteShort: '{objective} objective, {solver} solver: {total} active experts in total',
  columnCandidate: 'Candidate',
  columnPredictedKl: 'Predicted KL',
  columnMeasuredKl: 'Measured KL',
  columnPerplexity: 'Perplexity',
  candidateChosen: 'taken',
  candidateControl: 'control',
  candidateNumbered: '{name} {number}',
  evidenceCaption: 'Candidates at {average} active experts on average',
  evidenceOutcome: '“{chosen}” was taken: KL {kl} nats per token to the full model, on {tokens} calibration tokens.',
  evidenceBelowUniform:
    '“{chosen}” was taken: KL {kl} nats per token to the full model, {share} below uniform, on {tokens} calibration tokens.',
  evidenceAboveUniform:
    '“{chosen}” was taken: KL {kl} nats per token to the full model, {share} above uniform, on {tokens} calibration tokens.',
  evidenceCorrelation: 'Rank correlation of predicted and measured KL: {correlation}.',
  evidenceInterrupted: 'The search was stopped; this is the best so far.',
  evidenceOtherTotal:
    'These candidates have {total} active experts in total. The plan above ({planTotal} in total) was not measured with them.',
  budgetRunNote: 'Note: {note}',
  columnChosen: 'Chosen',
  columnTrained: 'Trained',
  columnChange: 'Output change',
  averageLegend: 'average {average}',
  chosenLegend: 'chosen per layer',
  frontTitle: 'Quality and cost',
  frontEmpty: 'No front yet. Find budgets computes the best allocation for every cost at once.',
  frontGrid: 'Best allocation for each cost',
  frontHint: 'Arrow keys move through the points, Enter takes the point as the plan.',
  frontSentence:
    'Line chart of the predicted loss for {points} costs: {first} at {firstAverage} active experts on average, {last} at {lastAverage}. The plan takes {average}. {measured} measured points.',
  frontSentencePlain:
    'Chart of {points} costs from {firstAverage} to {lastAverage} active experts on average; the objective predicts no loss. The plan takes {average}. {measured} measured points.',
  frontCell: '{average} active on average ({total} in total): predicted {predicted}',
  frontCellMeasured: '{average} active on average ({total} in total): predicted {predicted}, measured {measured}',
  frontCellKl: '{cell}, measured KL {kl}',
  frontCellChosen: '{cell} (plan)',
  frontPick: 'Click a point, or press Enter on it, to make it the plan.',
  frontAxis: 'Active experts on average',
  frontDivergences: '{sentence} {divergences} measured divergences.',
  predictedAxis: 'Predicted',
  divergenceAxis: 'KL, nats per token',
  perplexityAxis: 'Perplexity change %',
  accuracyAxis: 'Accuracy lost, points',
  columnAverage: 'Average',
  columnTotal: 'Total',
  columnPredicted: 'Predicted',
  columnMeasured: 'Measured',
  frontLegend: 'predicted',
  planLegend: 'plan',
  uniformLegend: 'uniform control',
  measuredLegend: 'measured',
  evaluationLegend: 'evaluation (right axis)',
  takenLegend: 'taken, measured KL',
  candidateLegend: 'other candidates',
  controlLegend: 'controls',
  evaluationTitle: 'Evaluation',
  evaluationEmpty: 'Not evaluated yet. Evaluate measures the plan against the unchanged model.',
  evaluationRun: 'Run',
  runBaseline: 'Baseline, {time}',
  runPlan: '{plan}, {time}',
  runExperts: '{average} experts on average, {time}',
  columnDataset: 'Dataset',
  columnTask: 'Task',
  columnBaseline: 'Baseline',
  columnPlan: 'Plan',
  columnDifference: 'Change',
  columnDivergence: 'KL, nats',
  columnAgreement: 'Same top-1',
  perplexityGroup: 'Perplexity',
  agreementGroup: 'Agreement with the baseline',
  taskGroup: 'Task accuracy',
  geometricMean: 'Geometric mean',
  mean: 'Mean',
  evaluationNote: '{average} active experts on average, {seconds}, {provider}',
  seconds: '{seconds}\u00a0s',
  staleBadge: 'outdated',
  windowedTable:
    'Rows {firstRow}–{lastRow} of {rows}, columns {firstColumn}–{lastColumn} of {columns}; the cursor moves on to the others.',
} as const;

export type StringName = keyof typeof english;

type Placeholder<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholder<Rest>
  : never;
type Values<Name extends StringName> = [Placeholder<(typeof english)[Name]>] extends [never]
  ? []
  : [values: Readonly<Record<Placeholder<(typeof english)[Name]>, string | number>>];

let translations: Readonly<Record<string, string>> = {};

/** Takes the texts of another language, keyed like {@link english}; names without a translation stay English. */
export function installTranslations(table: Readonly<Record<string, string>>): void {
  translations = table;
}

/** The text of this name with its placeholders filled in. */
export function text<Name extends StringName>(name: Name, ...[values]: Values<Name>): string {
  const template: string = translations[name] ?? english[name];
  const filled: Readonly<Record<string, string | number>> = values ?? {};
  return template.replace(/\{(\w+)\}/g, (whole, placeholder: string) => String(filled[placeholder] ?? whole));
}
