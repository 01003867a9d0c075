/**
 * Random orthogonal matrices, distributed evenly (Saxe et al., 2013; Mezzadri, "How to generate random matrices from the
 * classical compact groups", 2007): the Q of a QR decomposition of a normal matrix, with the signs of R's diagonal
 * moved into it, which makes the decomposition unique.
 */

/**
 * Turns `x`, a matrix `[rows, columns]` of normals, row-major, into one with orthonormal rows or columns, whichever are
 * fewer, times `gain`. Householder reflections in float64.
 */
export function orthogonalize(x: Float32Array | Float64Array, rows: number, columns: number, gain: number): void {
  const wide = rows < columns;
  const height = wide ? columns : rows;
  const width = wide ? rows : columns;
  // vectors[k] is column k of the tall matrix; its elements in `x` lie `step` apart.
  const step = wide ? 1 : columns;
  const stride = wide ? columns : 1;
  const vectors = Array.from({ length: width }, (_, k) =>
    Float64Array.from({ length: height }, (_, i) => x[k * stride + i * step] ?? 0),
  );
  const diagonal = vectors.map((vector, k) => {
    const entry = makeReflection(vector, k);
    for (let j = k + 1; j < width; j++) reflect(vectors[j] ?? vector, vector, k);
    return entry;
  });
  const round = x instanceof Float32Array ? Math.fround : (value: number): number => value;
  const factor = round(gain);
  const column = new Float64Array(height);
  for (let k = 0; k < width; k++) {
    // Reflections after the k-th leave the k-th unit vector alone.
    column.fill(0);
    column[k] = Math.sign(diagonal[k] ?? 0);
    for (let j = k; j >= 0; j--) reflect(column, vectors[j] ?? column, j);
    for (let i = 0; i < height; i++) x[k * stride + i * step] = round(column[i] ?? 0) * factor;
  }
}

/**
 * Replaces elements `start …` of `vector` by the unit normal of the reflection that maps them to a multiple of their
 * first unit vector; returns that multiple. A vector of zeros stays, and its reflection is the identity.
 */
function makeReflection(vector: Float64Array, start: number): number {
  let square = 0;
  for (let i = start; i < vector.length; i++) square += (vector[i] ?? 0) ** 2;
  if (square === 0) return 0;
  const first = vector[start] ?? 0;
  const image = first > 0 ? -Math.sqrt(square) : Math.sqrt(square);
  const length = Math.sqrt(2 * (square - first * image));
  vector[start] = first - image;
  for (let i = start; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / length;
  return image;
}

/** Reflects elements `start …` of `x` along the unit vector `normal`. */
function reflect(x: Float64Array, normal: Float64Array, start: number): void {
  let dot = 0;
  for (let i = start; i < x.length; i++) dot += (x[i] ?? 0) * (normal[i] ?? 0);
  for (let i = start; i < x.length; i++) x[i] = (x[i] ?? 0) - 2 * dot * (normal[i] ?? 0);
}
