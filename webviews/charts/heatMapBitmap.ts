import { paintValues } from './heatMapValues';
import type { HeatMapValues, ValueRange } from './heatMapValues';

/** A small bitmap that is redrawn when values change and stretched onto the chart otherwise. */
export class HeatMapBitmap {
  private readonly canvas = document.createElement('canvas');

  /** Paints the values, one pixel a cell. */
  paint(map: HeatMapValues, range: ValueRange | undefined, table: Uint8Array): void {
    this.canvas.width = Math.max(1, map.columns);
    this.canvas.height = Math.max(1, map.rows);
    const context = this.canvas.getContext('2d');
    if (context === null || range === undefined) {
      return;
    }
    const image = context.createImageData(map.columns, map.rows);
    paintValues(map, range, table, image.data);
    context.putImageData(image, 0, 0);
  }

  /** Draws the bitmap with sharp cell edges. */
  draw(context: CanvasRenderingContext2D, left: number, top: number, width: number, height: number): void {
    context.imageSmoothingEnabled = false;
    context.drawImage(this.canvas, left, top, width, height);
  }
}
