/** The few statistics that a report needs. */

/** Median, extremes and number of a set of measurements. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly rounds: number;
}

/** The middle value; of an even number of values the mean of the two middle ones. Throws a RangeError for no values. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("Cannot take a median: there are no values");
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2;
}

/** Summarises at least one value. Throws a RangeError for none. */
export function summarize(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), rounds: values.length };
}

/**
 * How many times `values` is `base`: the median of the ratios of the rounds that both have. The two runs of a round are close in time,
 * so the drift of the machine, which differs between rounds, cancels out. Undefined when they share no round.
 */
export function pairedRatio(
  values: ReadonlyMap<number, number>,
  base: ReadonlyMap<number, number>,
): number | undefined {
  const ratios: number[] = [];
  for (const [round, value] of values) {
    const other = base.get(round);
    if (other !== undefined && other !== 0) ratios.push(value / other);
  }
  return ratios.length === 0 ? undefined : median(ratios);
}

/** The slope of the least-squares line through points (x, y), in y per x. Throws a RangeError for fewer than two points. */
export function slope(points: readonly (readonly [number, number])[]): number {
  if (points.length < 2) throw new RangeError("Cannot fit a line: there are fewer than two points");
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  let covariance = 0;
  let variance = 0;
  for (const [x, y] of points) {
    covariance += (x - meanX) * (y - meanY);
    variance += (x - meanX) ** 2;
  }
  return covariance / variance;
}
