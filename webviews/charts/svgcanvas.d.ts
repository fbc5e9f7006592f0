declare module 'svgcanvas' {
  /** A 2D context that records what is drawn as SVG. It lacks Path2D. */
  export const Context: new (options: {
    readonly width: number;
    readonly height: number;
    readonly document: Document;
  }) => CanvasRenderingContext2D & { getSerializedSvg(fixNamedEntities: boolean): string };
}
