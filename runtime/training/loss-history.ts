/**
 * The losses of a training for its curve, in bounded memory: at most `capacity` points, each the mean of equally many
 * steps. When the points are full, neighbours are joined and every point stands for twice as many steps. What is kept
 * depends only on the losses, so a resumed run draws the same curve.
 */

/** Most points kept. */
const capacity = 2048;

/** What a checkpoint holds of a history: means of `stride` steps each, and the sum of the steps since the last of them. */
export type SavedHistory = {
  readonly stride: number;
  readonly points: readonly number[];
  readonly pendingSum: number;
  readonly pendingCount: number;
};

/** The losses so far. */
export class LossHistory {
  #stride = 1;
  #points: number[] = [];
  #pendingSum = 0;
  #pendingCount = 0;

  /** Adds the losses of further steps. */
  add(losses: Iterable<number>): void {
    for (const loss of losses) {
      this.#pendingSum += loss;
      this.#pendingCount++;
      if (this.#pendingCount < this.#stride) continue;
      this.#points.push(this.#pendingSum / this.#pendingCount);
      this.#pendingSum = 0;
      this.#pendingCount = 0;
      if (this.#points.length === capacity) this.#halve();
    }
  }

  /** Steps that one point stands for. */
  get stride(): number {
    return this.#stride;
  }

  /** Mean losses, in order. */
  get points(): readonly number[] {
    return this.#points;
  }

  /** The mean loss of each of at most `count` equal parts of the training. */
  sampled(count: number): number[] {
    const { length } = this.#points;
    const parts = Math.min(count, length);
    return Array.from({ length: parts }, (_, i) => {
      const part = this.#points.slice(Math.floor((i * length) / parts), Math.floor(((i + 1) * length) / parts));
      return part.reduce((sum, value) => sum + value, 0) / part.length;
    });
  }

  /** For a checkpoint. */
  save(): SavedHistory {
    return {
      stride: this.#stride,
      points: [...this.#points],
      pendingSum: this.#pendingSum,
      pendingCount: this.#pendingCount,
    };
  }

  /** Continues a saved history. */
  restore(saved: SavedHistory): void {
    this.#stride = saved.stride;
    this.#points = [...saved.points];
    this.#pendingSum = saved.pendingSum;
    this.#pendingCount = saved.pendingCount;
  }

  #halve(): void {
    const points = this.#points;
    this.#points = Array.from(
      { length: capacity / 2 },
      (_, i) => ((points[2 * i] ?? 0) + (points[2 * i + 1] ?? 0)) / 2,
    );
    this.#stride *= 2;
  }
}
