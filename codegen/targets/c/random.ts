/**
 * The C source of the random draws that an emitted program calls: PyTorch's generator and transformations, bit for bit
 * those of `ir/random`, on the same state (`stateLayout`). It is a translation unit of its own, built with `randomFlags`:
 * its bits are promised, so no compiler may fuse or reassociate anything that is not fused in the source.
 *
 * Plain C11 loops that compilers vectorise; no intrinsics. Elements are drawn in order on one thread, so a phase that
 * draws runs on thread 0 alone.
 */

/** Compiler flags of the translation unit, to follow the optimisation level and the processor's. */
export const randomFlags: readonly string[] = [
  // `fma` stands where PyTorch's kernels fuse, and nowhere else.
  "-ffp-contract=off",
  "-fno-fast-math",
  // No draw can set errno or trap; without these, loops with square roots and selections stay scalar.
  "-fno-math-errno",
  "-fno-trapping-math",
];

/** Declarations of the draws, for the programs that call them. */
export const randomHeader = `\
// Draws from a generator whose state is 630 32-bit words, shared with the host.
#include <stdint.h>

// Uniform in [low, high).
void kiln_draw_uniform_f32(uint32_t *generator, float *out, int64_t count, double low, double high);
// Normal; fewer than 16 values are drawn in pairs, of which the state keeps the second for the next such draw.
void kiln_draw_normal_f32(uint32_t *generator, float *out, int64_t count, double mean, double std);
// 1 with probability p, else 0.
void kiln_draw_bernoulli_u8(uint32_t *generator, unsigned char *out, int64_t count, double p);
void kiln_draw_bernoulli_f32(uint32_t *generator, float *out, int64_t count, double p);
`;

/** The definitions; the whole translation unit. */
export const randomSource = `\
${randomHeader}
#include <math.h>
#include <string.h>

// Layout of the state: words 0 to 623 of the twister, then these.
enum { TWISTER = 624, SHIFT = 397, POSITION = 624, HAS_KEPT = 625, KEPT_LOW = 626, KEPT_HIGH = 627 };

// Words drawn at a time: a multiple of 16 that stays in the first-level cache.
enum { CHUNK = 1024, BLOCK = 16, HALF = 8 };

static inline uint32_t twist(uint32_t high, uint32_t low, uint32_t other) {
  uint32_t joined = (high & 0x80000000u) | (low & 0x7fffffffu);
  return other ^ (joined >> 1) ^ (-(low & 1u) & 0x9908b0dfu);
}

// Each loop reads only words that it has not replaced, or that an earlier iteration, 227 back, has.
static void refill(uint32_t *state) {
  for (int i = 0; i < TWISTER - SHIFT; i++) state[i] = twist(state[i], state[i + 1], state[i + SHIFT]);
  for (int i = TWISTER - SHIFT; i < TWISTER - 1; i++)
    state[i] = twist(state[i], state[i + 1], state[i + SHIFT - TWISTER]);
  state[TWISTER - 1] = twist(state[TWISTER - 1], state[0], state[SHIFT - 1]);
}

static void draw_words(uint32_t *state, uint32_t *restrict out, int64_t count) {
  uint32_t position = state[POSITION];
  while (count > 0) {
    if (position >= TWISTER) {
      refill(state);
      position = 0;
    }
    int64_t some = TWISTER - (int64_t)position;
    if (some > count) some = count;
    const uint32_t *words = state + position;
    for (int64_t i = 0; i < some; i++) {
      uint32_t y = words[i];
      y ^= y >> 11;
      y ^= (y << 7) & 0x9d2c5680u;
      y ^= (y << 15) & 0xefc60000u;
      out[i] = y ^ (y >> 18);
    }
    position += (uint32_t)some;
    out += some;
    count -= some;
  }
  state[POSITION] = position;
}

static double draw_double(uint32_t *state) {
  uint32_t words[2];
  draw_words(state, words, 2);
  return (double)((uint64_t)(words[0] & 0x1fffffu) << 32 | words[1]) * 0x1p-53;
}

static void fill_uniform(uint32_t *generator, float *out, int64_t count, float low, float high) {
  uint32_t words[CHUNK];
  float range = high - low;
  for (int64_t done = 0; done < count; done += CHUNK) {
    int some = count - done < CHUNK ? (int)(count - done) : CHUNK;
    draw_words(generator, words, some);
    for (int i = 0; i < some; i++) {
      float x = fmaf((float)(int32_t)(words[i] & 0xffffffu) * 0x1p-24f, range, low);
      out[done + i] = x == high ? low : x;
    }
  }
}

void kiln_draw_uniform_f32(uint32_t *generator, float *out, int64_t count, double low, double high) {
  fill_uniform(generator, out, count, (float)low, (float)high);
}

// Cephes logf, for normal numbers in (0, 1].
static inline float log_f32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  int32_t exponent = (int32_t)(bits >> 23) - 126;
  bits = (bits & 0x007fffffu) | 0x3f000000u;
  float m;
  memcpy(&m, &bits, 4);
  int small = m < 0.70710678f;
  float e = (float)(exponent - small);
  float x = (small ? m + m : m) - 1.0f;
  float z = x * x;
  float y = 7.0376836292E-2f;
  y = fmaf(y, x, -1.1514610310E-1f);
  y = fmaf(y, x, 1.1676998740E-1f);
  y = fmaf(y, x, -1.2420140846E-1f);
  y = fmaf(y, x, 1.4249322787E-1f);
  y = fmaf(y, x, -1.6668057665E-1f);
  y = fmaf(y, x, 2.0000714765E-1f);
  y = fmaf(y, x, -2.4999993993E-1f);
  y = fmaf(y, x, 3.3333331174E-1f);
  y = y * x;
  y = fmaf(y, z, e * -2.12194440e-4f);
  y = fmaf(-z, 0.5f, y);
  return fmaf(e, 0.693359375f, x + y);
}

static inline float flip_sign(float x, uint32_t sign) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  bits ^= sign;
  memcpy(&x, &bits, 4);
  return x;
}

// A block of uniform values in [0, 1) becomes normal: radii from its first half, angles (Cephes sinf) from its second.
static inline void transform_block(float *restrict block, float mean, float std) {
  for (int i = 0; i < HALF; i++) {
    float radius = sqrtf(-2.0f * log_f32(1.0f - block[i]));
    float angle = 6.28318530717958647692f * block[i + HALF];
    int32_t octant = ((int32_t)(angle * 1.27323954473516f) + 1) & ~1;
    float j = (float)octant;
    float x = fmaf(j, -0.78515625f, angle);
    x = fmaf(j, -2.4187564849853515625e-4f, x);
    x = fmaf(j, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c = fmaf(fmaf(2.443315711809948E-5f, z, -1.388731625493765E-3f), z, 4.166664568298827E-2f) * z;
    c = fmaf(c, z, -0.5f * z) + 1.0f;
    float s = fmaf(fmaf(-1.9515295891E-4f, z, 8.3321608736E-3f), z, -1.6666654611E-1f) * z;
    s = fmaf(s, x, x);
    int swap = (octant & 2) != 0;
    // Bit 2 of the octant moved to the sign's place.
    float sine = flip_sign(swap ? c : s, (uint32_t)(octant & 4) << 29);
    float cosine = flip_sign(swap ? s : c, (uint32_t)(~(octant - 2) & 4) << 29);
    block[i] = fmaf(radius * cosine, std, mean);
    block[i + HALF] = fmaf(radius * sine, std, mean);
  }
}

static double draw_normal(uint32_t *state) {
  double value;
  uint64_t bits;
  if (state[HAS_KEPT]) {
    bits = (uint64_t)state[KEPT_HIGH] << 32 | state[KEPT_LOW];
    memcpy(&value, &bits, 8);
    state[HAS_KEPT] = state[KEPT_LOW] = state[KEPT_HIGH] = 0;
    return value;
  }
  double angle = 2.0 * 3.14159265358979323846 * draw_double(state);
  double radius = sqrt(-2.0 * log1p(-draw_double(state)));
  value = radius * sin(angle);
  memcpy(&bits, &value, 8);
  state[HAS_KEPT] = 1;
  state[KEPT_LOW] = (uint32_t)bits;
  state[KEPT_HIGH] = (uint32_t)(bits >> 32);
  return radius * cos(angle);
}

void kiln_draw_normal_f32(uint32_t *generator, float *out, int64_t count, double mean, double std) {
  if (count < BLOCK) {
    for (int64_t i = 0; i < count; i++) out[i] = (float)(draw_normal(generator) * std + mean);
    return;
  }
  fill_uniform(generator, out, count, 0.0f, 1.0f);
  for (int64_t start = 0; start + BLOCK <= count; start += BLOCK) transform_block(out + start, (float)mean, (float)std);
  if (count % BLOCK == 0) return;
  // A last block that is not whole is made of the last 16 elements, drawn once more.
  fill_uniform(generator, out + count - BLOCK, BLOCK, 0.0f, 1.0f);
  transform_block(out + count - BLOCK, (float)mean, (float)std);
}

// A draw is a 53-bit integer times 2^-53; it is below p exactly when the integer is below this one.
static uint64_t bernoulli_limit(double p) { return (uint64_t)ceil(p * 0x1p53); }

static inline int below(const uint32_t *pair, uint64_t limit) {
  return ((uint64_t)(pair[0] & 0x1fffffu) << 32 | pair[1]) < limit;
}

void kiln_draw_bernoulli_u8(uint32_t *generator, unsigned char *out, int64_t count, double p) {
  uint32_t words[CHUNK];
  uint64_t limit = bernoulli_limit(p);
  for (int64_t done = 0; done < count; done += CHUNK / 2) {
    int some = count - done < CHUNK / 2 ? (int)(count - done) : CHUNK / 2;
    draw_words(generator, words, 2 * some);
    for (int i = 0; i < some; i++) out[done + i] = (unsigned char)below(words + 2 * i, limit);
  }
}

void kiln_draw_bernoulli_f32(uint32_t *generator, float *out, int64_t count, double p) {
  uint32_t words[CHUNK];
  uint64_t limit = bernoulli_limit(p);
  for (int64_t done = 0; done < count; done += CHUNK / 2) {
    int some = count - done < CHUNK / 2 ? (int)(count - done) : CHUNK / 2;
    draw_words(generator, words, 2 * some);
    for (int i = 0; i < some; i++) out[done + i] = (float)below(words + 2 * i, limit);
  }
}
`;
