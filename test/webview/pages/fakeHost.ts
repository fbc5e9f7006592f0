import type { WebviewTheme } from '../../support/webviewThemes';

/** Runs before the webview's own script: stands in for VS Code and records what the page does. */
interface FakeHostSettings {
  readonly theme: WebviewTheme;
  readonly state?: object;
  readonly reducedMotion: boolean;
}

declare global {
  interface Window {
    fakeHost: typeof fakeHost;
  }
}

// In the address, so that one page of the browser serves many tests: only the page is loaded anew.
const settings = JSON.parse(new URLSearchParams(location.search).get('settings') ?? '{}') as FakeHostSettings;
let state: unknown = settings.state;
let connected = false;
let variables: readonly string[] = [];

const fakeHost = {
  messages: [] as unknown[],
  violations: [] as string[],

  state: (): unknown => state,

  /** Delivers a message and waits for two frames, after which charts have been resized and drawn. */
  post: async (message: unknown): Promise<void> => {
    window.postMessage(message, '*');
    for (let frame = 0; frame < 3; frame += 1) {
      await new Promise(requestAnimationFrame);
    }
  },

  setTheme: async (theme: WebviewTheme): Promise<void> => {
    applyTheme(theme);
    for (let frame = 0; frame < 3; frame += 1) {
      await new Promise(requestAnimationFrame);
    }
  },

  canvasStatistics: (selector: string): { painted: number; colours: number } => {
    const canvas = document.querySelector<HTMLCanvasElement>(selector);
    if (canvas === null || canvas.width === 0 || canvas.height === 0) {
      return { painted: 0, colours: 0 };
    }
    // A copy, since reading the canvas itself would change how the browser keeps it.
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    if (copy === null) {
      throw new Error('The browser gives no drawing context.');
    }
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set<number>();
    let painted = 0;
    for (let pixel = 0; pixel < data.length; pixel += 4) {
      if ((data[pixel + 3] ?? 0) > 0) {
        painted += 1;
        colours.add(((data[pixel] ?? 0) << 16) | ((data[pixel + 1] ?? 0) << 8) | (data[pixel + 2] ?? 0));
      }
    }
    return { painted: painted / (data.length / 4), colours: colours.size };
  },
};

function applyTheme(theme: WebviewTheme): void {
  const { style } = document.documentElement;
  for (const name of variables) {
    style.removeProperty(name);
  }
  variables = Object.keys(theme.variables).map((name) => `--vscode-${name}`);
  for (const [name, value] of Object.entries(theme.variables)) {
    style.setProperty(`--vscode-${name}`, value);
  }
  style.setProperty('background-color', theme.background);
  const motion = settings.reducedMotion ? ['vscode-reduce-motion'] : [];
  document.body.className = [...theme.bodyClasses, ...motion].join(' ');
  document.body.dataset['vscodeThemeKind'] = theme.kind;
}

window.fakeHost = fakeHost;
document.addEventListener('securitypolicyviolation', (event) => {
  fakeHost.violations.push(
    `${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${String(event.lineNumber)}`,
  );
});
Object.assign(window, {
  acquireVsCodeApi: () => {
    if (connected) {
      throw new Error('acquireVsCodeApi was called twice.');
    }
    connected = true;
    return {
      postMessage: (message: unknown) => {
        // As between processes, only what can be cloned arrives.
        fakeHost.messages.push(structuredClone(message));
      },
      getState: () => state,
      setState: (next: unknown) => {
        state = structuredClone(next);
        return next;
      },
    };
  },
});

// VS Code has themed the body before the webview's script runs.
new MutationObserver((_, observer) => {
  if (document.querySelector('body') !== null) {
    observer.disconnect();
    applyTheme(settings.theme);
  }
}).observe(document, { childList: true, subtree: true });
