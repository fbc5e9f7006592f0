import { themeKind, themeValue } from '../ui-kit/theme';

/** Colours and fonts of the charts, resolved from the theme because a canvas knows no CSS variables. */
export interface ChartTheme {
  readonly foreground: string;
  readonly muted: string;
  readonly lines: string;
  readonly background: string;
  /** Background of editors, on which charts in an editor tab stand. */
  readonly page: string;
  readonly accent: string;
  readonly second: string;
  readonly third: string;
  readonly border: string | undefined;
  readonly fontFamily: string;
  readonly fontSize: number;
}

const defaultFontSize = 13;

/** Reads the theme once; call again after each change of theme. */
export function readChartTheme(): ChartTheme {
  const highContrast = themeKind().startsWith('high-contrast');
  const foreground = themeValue(['--vscode-foreground', '--vscode-editor-foreground'], 'gray');
  const border = themeValue(['--vscode-contrastBorder'], '');
  return {
    foreground,
    muted: highContrast ? foreground : themeValue(['--vscode-descriptionForeground'], foreground),
    lines: themeValue(['--vscode-charts-lines', '--vscode-panel-border'], foreground),
    background: themeValue(['--vscode-sideBar-background', '--vscode-editor-background'], 'transparent'),
    page: themeValue(['--vscode-editor-background'], 'canvas'),
    accent: themeValue(['--vscode-charts-blue', '--vscode-focusBorder'], foreground),
    second: themeValue(['--vscode-charts-orange', '--vscode-charts-yellow'], foreground),
    third: themeValue(['--vscode-charts-green', '--vscode-charts-purple'], foreground),
    border: border === '' ? undefined : border,
    fontFamily: themeValue(['--vscode-font-family'], 'sans-serif'),
    fontSize: Math.max(9, (parseFloat(themeValue(['--vscode-font-size'], '')) || defaultFontSize) - 2),
  };
}

/** Scale options that all charts share: quiet grid, small tabular labels, a title. */
export function axisOptions(theme: ChartTheme, title: string, grid: boolean): AxisOptions {
  const font = { family: theme.fontFamily, size: theme.fontSize };
  return {
    border: { display: false },
    grid: { display: grid, color: theme.lines, lineWidth: 0.5, drawTicks: false },
    ticks: { color: theme.muted, font, padding: 4, maxRotation: 0, autoSkip: true, autoSkipPadding: 8 },
    title: { display: title !== '', text: title, color: theme.muted, font, padding: 2 },
  };
}

interface FontOptions {
  readonly family: string;
  readonly size: number;
}

interface AxisOptions {
  readonly border: { readonly display: boolean };
  readonly grid: {
    readonly display: boolean;
    readonly color: string;
    readonly lineWidth: number;
    readonly drawTicks: boolean;
  };
  readonly ticks: {
    readonly color: string;
    readonly font: FontOptions;
    readonly padding: number;
    readonly maxRotation: number;
    readonly autoSkip: boolean;
    readonly autoSkipPadding: number;
  };
  readonly title: {
    readonly display: boolean;
    readonly text: string;
    readonly color: string;
    readonly font: FontOptions;
    readonly padding: number;
  };
}
