import { TunerError } from '../../protocol/errors';

/** Share of the mean diagonal that is added to the diagonal, so that the factor exists (GPTQ, section 3.3, step 3). */
const dampening = 0.01;
/** How often the dampening is made ten times stronger before a matrix counts as broken. */
const attempts = 5;

/** Second moments of the inputs of a linear map, Σ_t c_t x_t x_tᵀ, `[size, size]` row-major, and how many tokens are in them. */
export interface InputMoments {
  readonly size: number;
  readonly moments: Float64Array;
  readonly tokens: number;
}

/** What error compensation needs of the inputs. */
export interface CompensationFactor {
  /** Upper triangular U with H⁻¹ = Uᵀ U, `[size, size]`. */
  readonly upper: Float32Array;
  /** Columns that no token uses: their weights do not matter and become zero. */
  readonly dead: Uint8Array;
}

/** Factors that are known: experts are rounded at several bits with the same moments. */
const knownFactors = new WeakMap<Float64Array, CompensationFactor>();

/** {@link computeFactor}, once for the same moments. */
export function compensationFactor(inputs: InputMoments): CompensationFactor {
  const known = knownFactors.get(inputs.moments) ?? computeFactor(inputs);
  knownFactors.set(inputs.moments, known);
  return known;
}

/**
 * The factor U of the inverse of the dampened second moments. H = R Rᵀ with an upper triangular R, computed from the last column
 * backwards, gives U = R⁻¹ without ever forming the inverse of H.
 * @throws TunerError `internal` when the moments are not those of any inputs (not finite)
 */
function computeFactor({ size, moments }: InputMoments): CompensationFactor {
  const dead = new Uint8Array(size);
  let trace = 0;
  for (let at = 0; at < size; at += 1) {
    dead[at] = Number(moments[at * size + at]! <= 0);
    trace += moments[at * size + at]!;
  }
  const mean = trace / size || 1;
  for (let attempt = 0, share = dampening; attempt < attempts; attempt += 1, share *= 10) {
    const damped = Float64Array.from(moments);
    for (let at = 0; at < size; at += 1) {
      damped[at * size + at] = (dead[at] === 1 ? mean : damped[at * size + at]!) + share * mean;
    }
    if (factorBackwards(damped, size)) {
      return { upper: invertUpper(damped, size), dead };
    }
  }
  throw new TunerError('internal', 'The second moments of the calibration inputs are not finite numbers.');
}

/** Overwrites the upper triangle of a symmetric matrix with R of H = R Rᵀ; false where H is not positive definite. */
function factorBackwards(matrix: Float64Array, size: number): boolean {
  for (let column = size - 1; column >= 0; column -= 1) {
    const pivot = matrix[column * size + column]!;
    if (!(pivot > 0) || pivot === Infinity) {
      return false;
    }
    const root = Math.sqrt(pivot);
    matrix[column * size + column] = root;
    for (let row = 0; row < column; row += 1) {
      matrix[row * size + column]! /= root;
    }
    for (let row = 0; row < column; row += 1) {
      const factor = matrix[row * size + column]!;
      if (factor !== 0) {
        for (let other = row; other < column; other += 1) {
          matrix[row * size + other]! -= factor * matrix[other * size + column]!;
        }
      }
    }
  }
  return true;
}

/** Inverse of an upper triangular matrix; what is below the diagonal is not read. */
function invertUpper(matrix: Float64Array, size: number): Float32Array {
  const inverse = new Float64Array(size * size);
  for (let row = size - 1; row >= 0; row -= 1) {
    const diagonal = 1 / matrix[row * size + row]!;
    inverse[row * size + row] = diagonal;
    for (let between = row + 1; between < size; between += 1) {
      const factor = matrix[row * size + between]! * diagonal;
      if (factor !== 0) {
        for (let column = between; column < size; column += 1) {
          inverse[row * size + column]! -= factor * inverse[between * size + column]!;
        }
      }
    }
  }
  return Float32Array.from(inverse);
}

/**
 * tr(D H Dᵀ) by rows: the squared error that a change D `[rows, size]` of the weights causes on the inputs behind the moments, whose
 * matrix is symmetric, so that half of it is enough.
 */
export function errorOnInputs(change: Float32Array, { size, moments }: InputMoments): Float64Array {
  const rows = change.length / size;
  const errors = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    let total = 0;
    for (let left = 0; left < size; left += 1) {
      const factor = change[row * size + left]!;
      if (factor !== 0) {
        let inner = 0;
        for (let right = left + 1; right < size; right += 1) {
          inner += moments[left * size + right]! * change[row * size + right]!;
        }
        total += factor * (2 * inner + moments[left * size + left]! * factor);
      }
    }
    errors[row] = total;
  }
  return errors;
}
