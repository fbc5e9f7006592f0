/** Every command of the extension. `internal` ones are hidden in the command palette. */
export const commands = {
  'moeTuner.profile': { internal: false },
  'moeTuner.findBudgets': { internal: false },
  'moeTuner.calibrate': { internal: false },
  'moeTuner.prune': { internal: false },
  'moeTuner.merge': { internal: false },
  'moeTuner.quantize': { internal: false },
  'moeTuner.evaluate': { internal: false },
  'moeTuner.evaluatePlan': { internal: false },
  'moeTuner.applyPlan': { internal: false },
  'moeTuner.openPlanEditor': { internal: false },
  'moeTuner.openPlanAsText': { internal: false },
  'moeTuner.openSample': { internal: false },
  'moeTuner.openDashboard': { internal: false },
  'moeTuner.openDashboardInEditor': { internal: false },
  'moeTuner.refreshCheckpoints': { internal: false },
  'moeTuner.doctor': { internal: false },
  'moeTuner.selectProvider': { internal: false },
  'moeTuner.restartEngine': { internal: false },
  'moeTuner.cancelJob': { internal: false },
  'moeTuner.showLog': { internal: false },
  'moeTuner.clearCache': { internal: false },
  'moeTuner.copyDiagnostics': { internal: false },
  'moeTuner.openConfig': { internal: true },
  'moeTuner.engineMenu': { internal: true },
} as const;

export type CommandId = keyof typeof commands;
