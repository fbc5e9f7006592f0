import * as vscode from 'vscode';
import type { CommandId } from '../common/commandIds';
import { setContextKey } from '../common/contextKeys';
import type { CheckpointStore } from '../config/checkpointStore';
import { checkpointNode, type CheckpointNode } from './checkpointNodes';
import { disposeAll, type Subscription } from '../common/subscription';

export const checkpointTreeId = 'moeTuner.checkpoints';

/** The tree of the side panel: checkpoints of the workspace with facts, layers and latest results. */
export class CheckpointTree implements vscode.TreeDataProvider<CheckpointNode>, vscode.Disposable {
  private readonly changeEmitter = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changeEmitter.event;
  private readonly subscriptions: readonly Subscription[];

  constructor(
    private readonly store: CheckpointStore,
    onVisible: (visible: boolean) => void,
  ) {
    const view = vscode.window.createTreeView(checkpointTreeId, { treeDataProvider: this, showCollapseAll: true });
    this.subscriptions = [
      this.changeEmitter,
      view,
      view.onDidChangeVisibility(({ visible }) => onVisible(visible)),
      store.onDidChange(() => this.refresh()),
    ];
    if (view.visible) {
      onVisible(true);
    }
  }

  getChildren(parent?: CheckpointNode): CheckpointNode[] {
    return parent === undefined ? this.store.all().map(checkpointNode) : [...parent.children];
  }

  getTreeItem(node: CheckpointNode): vscode.TreeItem {
    const { None, Collapsed } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, node.children.length === 0 ? None : Collapsed);
    item.id = node.id;
    item.contextValue = node.kind;
    if (node.description !== undefined) {
      item.description = node.description;
      item.tooltip = `${node.label}: ${node.description}`;
    }
    if (node.kind === 'checkpoint') {
      item.tooltip = node.folder;
      item.collapsibleState = this.store.all().length === 1 ? vscode.TreeItemCollapsibleState.Expanded : Collapsed;
    }
    if (node.icon !== undefined) {
      item.iconPath = new vscode.ThemeIcon(node.icon);
    }
    item.accessibilityInformation = { label: `${node.label} ${node.description ?? ''}`.trim() };
    const command: CommandId | undefined =
      node.kind === 'result' ? 'moeTuner.openDashboard' : node.kind === 'fact' ? 'moeTuner.openConfig' : undefined;
    if (command !== undefined) {
      item.command = { command, title: node.label, arguments: [node.folder] };
    }
    return item;
  }

  dispose(): void {
    disposeAll(this.subscriptions);
  }

  private refresh(): void {
    setContextKey('moeTuner.hasCheckpoints', this.store.all().length > 0);
    this.changeEmitter.fire();
  }
}
