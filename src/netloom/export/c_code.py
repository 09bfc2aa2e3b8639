"""The parts of the C header that are the same for every network; `c.py` fills in what stands between @ signs."""

__all__ = ["BODY", "HELPERS"]

BODY = """\
/* A network that predicts: @TARGETS@. Made by netloom; C99, no memory but the stack, no other file.

   #include "@NAME@.h"
   double numbers[@NAME@_NUMBERS], out[@NAME@_OUTPUTS];
   int codes[@NAME@_CODES];
   @NAME@_predict(numbers, codes, out);

@INPUTS@

@OUTPUTS@

   What the caller prepares (as the exported Python file's prepare() does):
@NOTES@

   Compile with -O2 or -O3 and the options of your processor (-march=native), and never with -ffast-math: it has no NAN.
*/
#ifndef @GUARD@
#define @GUARD@

/* schema, classes, scores and where the network comes from, as JSON:
@METADATA@
*/

#define @NAME@_NUMBERS @N_NUMBERS@
#define @NAME@_CODES @N_CODES@
#define @NAME@_OUTPUTS @N_OUTPUTS@

@HELPERS@
@CLASSES@
@LEVELS@
@ARRAYS@

/* numbers and codes as said above, out one chance per class or one value per target. */
static inline void @NAME@_predict(const double *numbers, const int *codes, double *out)
{
@STEPS@
}

#endif
"""

HELPERS = """\
#ifndef NETLOOM_HELPERS
#define NETLOOM_HELPERS
#include <math.h>
#include <string.h>

#ifndef NETLOOM_REAL
#define NETLOOM_REAL float
#endif

/* Before a loop of eight, which is one vector unless a compiler unrolls it too early. */
#if defined(__GNUC__) && !defined(__clang__)
#define NETLOOM_EIGHT _Pragma("GCC unroll 1")
#else
#define NETLOOM_EIGHT
#endif

static inline double netloom_clip(double x, double limit) { return x < -limit ? -limit : x > limit ? limit : x; }

/* Missing values become the mean of training, infinities its extremes. */
static inline double netloom_clean(double x, double fill, double low, double high)
{
    if (x != x) return fill;
    if (x > 1.7976931348623157e308) return high;
    if (x < -1.7976931348623157e308) return low;
    return netloom_clip(x, 1e30);
}

/* Piecewise linear: which piece is a count, so that there is nothing to predict for the processor. */
static inline double netloom_rank(double z, int knots, const double *knot, const double *slope, const double *level)
{
    int q, piece = 0;
    for (q = 0; q < knots; q++) piece += z >= knot[q];
    return level[piece] + slope[piece] * z;
}

/* Rational approximation, within 3e-7 (the one of Eigen). */
static inline NETLOOM_REAL netloom_tanh(NETLOOM_REAL x)
{
    NETLOOM_REAL s, p, q;
    x = x < -7.9f ? -7.9f : x;
    x = x > 7.9f ? 7.9f : x;
    s = x * x;
    p = -2.76076847742355e-16f * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    q = 1.19825839466702e-06f * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

/* cos 2z = 1 - 2 sin(z)^2 for |z| <= 6, within 3e-7. */
static inline NETLOOM_REAL netloom_cos_twice(NETLOOM_REAL z)
{
    int turns = (int)(z * 0.318309886f + 16.5f) - 16;
    NETLOOM_REAL r = (z - (NETLOOM_REAL)turns * 3.140625f) - (NETLOOM_REAL)turns * 9.67653589793e-4f, s = r * r, sine;
    sine = 1.60590438e-10f * s - 2.50521084e-08f;
    sine = sine * s + 2.75573192e-06f;
    sine = sine * s - 1.98412698e-04f;
    sine = sine * s + 8.33333333e-03f;
    sine = sine * s - 1.66666667e-01f;
    sine = r + r * s * sine;
    return 1 - 2 * sine * sine;
}

/* [tanh 2z | cos 2z | parabola | soft steps, threshold by threshold] of m standardised values. */
static inline void netloom_cells(const NETLOOM_REAL *restrict z, int m, const NETLOOM_REAL *restrict thresholds, NETLOOM_REAL *restrict f)
{
    int i, s;
    for (i = 0; i < m; i++) f[i] = netloom_tanh(2 * z[i]);
    for (i = 0; i < m; i++) f[m + i] = netloom_cos_twice(z[i]);
    for (i = 0; i < m; i++) f[2 * m + i] = 0.5f * ((z[i] * z[i] > 7 ? 7 : z[i] * z[i]) - 1);
    for (s = 0; s < 4; s++)
        for (i = 0; i < m; i++) f[(3 + s) * m + i] = 3 * z[i] - thresholds[s * m + i];
    for (i = 3 * m; i < 7 * m; i++) f[i] = netloom_tanh(f[i]);
}

/* a += x @ w, w (h / 8, n, 8): eight outputs at once, in four sums, so that none waits for the last. Where there are
   vectors gcc and clang are told so, as they do not always see it; elsewhere, and with NETLOOM_PLAIN, it is C99. */
#if defined(__GNUC__) && (defined(__SSE2__) || defined(__ARM_NEON)) && !defined(NETLOOM_PLAIN)
typedef NETLOOM_REAL netloom_eight __attribute__((vector_size(8 * sizeof(NETLOOM_REAL)), aligned(sizeof(NETLOOM_REAL)), may_alias));

static inline void netloom_many(const NETLOOM_REAL *restrict w, const NETLOOM_REAL *restrict x, int n, NETLOOM_REAL *restrict a, int h)
{
    int i, j;
    for (j = 0; j < h; j += 8) {
        netloom_eight s = *(netloom_eight *)(a + j), t = {0}, u = {0}, v = {0};
        for (i = 0; i + 4 <= n; i += 4, w += 32) {
            s += x[i] * *(const netloom_eight *)w;
            t += x[i + 1] * *(const netloom_eight *)(w + 8);
            u += x[i + 2] * *(const netloom_eight *)(w + 16);
            v += x[i + 3] * *(const netloom_eight *)(w + 24);
        }
        for (; i < n; i++, w += 8) s += x[i] * *(const netloom_eight *)w;
        *(netloom_eight *)(a + j) = (s + t) + (u + v);
    }
}
#else
static inline void netloom_many(const NETLOOM_REAL *restrict w, const NETLOOM_REAL *restrict x, int n, NETLOOM_REAL *restrict a, int h)
{
    int i, j, k;
    for (j = 0; j < h; j += 8)
        for (i = 0; i < n; i++, w += 8)
            for (k = 0; k < 8; k++) a[j + k] += x[i] * w[k];
}
#endif

/* a += w * x[from] for the first h outputs: one of the few numbers that each has in a matrix of zeros. */
static inline void netloom_sparse(const NETLOOM_REAL *restrict w, const int *restrict from, const NETLOOM_REAL *restrict x,
    NETLOOM_REAL *restrict a, int h)
{
    int j;
    for (j = 0; j < h; j++) a[j] += w[j] * x[from[j]];
}

/* a = relu(b + w * x[i]) for the outputs from ends[i - 1] up to ends[i], multiples of 8: those that read nothing but x[i]. */
static inline void netloom_runs(const NETLOOM_REAL *restrict w, const int *restrict ends, const NETLOOM_REAL *restrict x, int n,
    const NETLOOM_REAL *restrict b, NETLOOM_REAL *restrict a)
{
    int i, j = 0, k;
    for (i = 0; i < n; i++)
        for (; j < ends[i]; j += 8)
            NETLOOM_EIGHT for (k = 0; k < 8; k++) {
                const NETLOOM_REAL sum = b[j + k] + w[j + k] * x[i];
                a[j + k] = sum > 0 ? sum : 0;
            }
}

/* a += w @ x, w (h, n), h small: eight sums side by side. */
static inline void netloom_few(const NETLOOM_REAL *restrict w, const NETLOOM_REAL *restrict x, int n, NETLOOM_REAL *restrict a, int h)
{
    int i, j, k;
    for (j = 0; j < h; j++, w += n) {
        NETLOOM_REAL sum[8] = {0, 0, 0, 0, 0, 0, 0, 0}, rest = 0;
        for (i = 0; i + 8 <= n; i += 8) {
            NETLOOM_EIGHT for (k = 0; k < 8; k++) sum[k] += w[i + k] * x[i + k];
        }
        for (; i < n; i++) rest += w[i] * x[i];
        a[j] += ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])) + rest;
    }
}

static inline void netloom_add(const NETLOOM_REAL *restrict row, NETLOOM_REAL *restrict a, int h)
{
    int j;
    for (j = 0; j < h; j++) a[j] += row[j];
}

static inline void netloom_softmax(double *out, int n)
{
    double top = out[0], sum = 0;
    int i;
    for (i = 1; i < n; i++) top = out[i] > top ? out[i] : top;
    for (i = 0; i < n; i++) sum += out[i] = exp(out[i] - top);
    for (i = 0; i < n; i++) out[i] /= sum;
}

/* The code of a text (UTF-8): its place among n levels, n if it is not there, n + 1 if text is NULL (missing). */
static inline int netloom_code(const char *text, const char *const *levels, int n)
{
    int i;
    if (!text) return n + 1;
    for (i = 0; i < n; i++)
        if (!strcmp(text, levels[i])) return i;
    return n;
}
#endif
"""
