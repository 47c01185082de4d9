// Convolutions of images on a CPU, as custom calls of XLA: forward, and the gradients of images and kernel.
//
// Images [N, H, W, I], kernels [KH, KW, I, O], float32; any stride, padding, dilation and channels. What they
// compute is `conv_reference` of dljax/nn/convolution.py; __init__.py calls what stands at the end of this file.
//
// An image is taken in bands of rows, copied with the zeros around them into memory that stays in the cache. A
// tile keeps some pixels of one or two vectors of output channels in registers while it runs over the window;
// for the gradient of the kernel, some elements of the window while it runs over the pixels. The gradient of the
// images is a forward convolution over the gradient of the results; with a stride s it is s x s of them, each for
// the pixels of one position and with the taps that reach them. Where output channels fill less than a vector,
// neighbouring pixels of a row share one. What is added in which order follows from the shapes alone, so bits
// depend neither on timing nor on the number of threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <cfenv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int LANES = 8, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int LANES = 4, REGISTERS = 32;
#else
constexpr int LANES = 4, REGISTERS = 16;
#endif
typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
// A loop that is unrolled, so that arrays of vectors become registers.
#define EACH(I, N) _Pragma("GCC unroll 32") for (int I = 0; I < N; I++)
// Pixels, or elements of a window, of V vectors that the registers hold beside 1 + V operands.
constexpr int most(int V) { return std::min(16, (REGISTERS - 1 - V) / V); }

// Memory of this thread, kept from call to call, aligned as vectors like it.
enum Use { IMAGE, RESULT, KERNEL };
static float* scratch(Use use, long size) {
  static thread_local std::array<std::vector<float>, 3> kept;
  if (static_cast<long>(kept[use].size()) < size + 16) kept[use].resize(size + 16);
  return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(kept[use].data()) + 63) & ~uintptr_t{63});
}

// Calls f(unit) for each of n units, by this thread and those of XLA's pool that are free: none waits for one
// that has not begun. All treat subnormal numbers as this thread does.
template <typename F> static void in_parallel(ffi::ThreadPool& pool, long n, F f) {
  struct Shared {
    F f;
    long n;
    std::fenv_t environment;
    std::atomic<long> next{0}, done{0};
    Shared(F f, long n) : f(f), n(n) { std::fegetenv(&environment); }
    void work() { for (long unit; (unit = next.fetch_add(1)) < n; done.fetch_add(1)) f(unit); }
  };
  auto shared = std::make_shared<Shared>(f, n);
  for (long helpers = std::min<long>(n, pool.num_threads()) - 1; helpers > 0; helpers--)
    pool.Schedule([shared] {
      std::fenv_t own;
      std::fegetenv(&own), std::fesetenv(&shared->environment);
      shared->work();
      std::fesetenv(&own);
    });
  shared->work();
  while (shared->done.load() < n) std::this_thread::yield();
}

// f(from, size) for the parts of n that are even and at most `limit`.
template <typename F> static void parts(long n, long limit, F f) {
  const long count = (n + limit - 1) / limit;
  for (long i = 0, from = 0, size; i < count; i++, from += size) f(from, size = n / count + (i < n % count));
}

// Along an axis, output q sees with tap m the pixel q stride + first + m step; it is pixel start + q pitch of
// the result.
struct Axis {
  long stride, first, step, taps, count, start = 0, pitch = 1;
  long end(long q) const { return q * stride + first + std::max(taps - 1, 0L) * step + 1; }
};

// How a kernel lies in memory: blocks of one or two vectors of lanes, each [runs, length, lanes of the block]. A
// run is a part of the window that is contiguous in an image. Lane t O + o is output channel o of the t-th of
// `shared` neighbouring pixels, whose windows lie `shift` taps apart.
struct Layout {
  long taps_h, taps_w, in, out, shared = 1, shift, wide, runs, length, lanes = 0;
  std::vector<std::pair<long, int>> blocks;  // first lane, vectors

  Layout(const Axis& h, const Axis& w, long in, long out)
      : taps_h(h.taps), taps_w(w.taps), in(in), out(out), shift(w.stride), wide(w.taps) {
    const bool joined = w.step == 1;
    double best = 0;  // of the multiplications, the part that is no padding
    for (long t = 1; t <= (joined && w.pitch == 1 && out < LANES ? std::min(8L, w.count) : 1); t++) {
      const long width = taps_w + (t - 1) * shift, padded = (t * out + LANES - 1) / LANES * LANES;
      const double useful = double(t * out * taps_w) / (padded * width);
      if (useful > best * 1.01) best = useful, shared = t, wide = width;
    }
    runs = joined ? taps_h : taps_h * taps_w, length = joined ? wide * in : in;
    for (; lanes < shared * out; lanes += LANES * blocks.back().second)
      blocks.push_back({lanes, shared * out - lanes > LANES ? 2 : 1});
  }
  long size() const { return runs * length * lanes; }
  long outputs(const Axis& w) const { return (w.count + shared - 1) / shared; }
  long end(const Axis& w) const { return w.end(outputs(w) * shared - 1); }
  // Where runs begin in an image whose rows have so many pixels.
  std::vector<long> offsets(const Axis& h, const Axis& w, long row) const {
    std::vector<long> found(runs);
    const long across = runs / std::max(taps_h, 1L);
    for (long r = 0; r < runs; r++) found[r] = (r / across * h.step * row + r % across * w.step) * in;
    return found;
  }
  // f(place, a, b, i, o, n): n lanes that hold outputs o, o + 1, ... of input i of tap (a, b).
  template <typename F> void each(F f) const {
    for (auto [first, V] : blocks)
      for (long row = 0; row < taps_h * wide * in; row++)
        for (long t = 0; t < shared; t++) {
          const long b = row / in % wide - t * shift, low = std::max(first, t * out);
          const long n = std::min(first + V * LANES, (t + 1) * out) - low;
          if (b < 0 || b >= taps_w || n <= 0) continue;
          f(runs * length * first + row * V * LANES + low - first, row / in / wide, b, row % in, low - t * out, n);
        }
  }
};

// P pixels, of whose V vectors of channels `lanes` floats are written.
struct Tiles { const long* offsets; long runs, length, x_step, y_step, lanes; };
template <int P, int V> static void tile(const Tiles& s, const float* x, const float* w, float* y) {
  Vector sum[P][V] = {};
  for (long r = 0; r < s.runs; r++) {
    const float* from[(P + 3) / 4];  // of every fourth pixel: few enough addresses for registers
    for (int p = 0; p < P; p += 4) from[p / 4] = x + s.offsets[r] + p * s.x_step;
    for (long l = 0; l < s.length; l++, w += V * LANES) {
      const long place[4] = {l, l + s.x_step, l + 2 * s.x_step, l + 3 * s.x_step};
      EACH(p, P) EACH(v, V) sum[p][v] += from[p / 4][place[p % 4]] * *(const Vector*)(w + v * LANES);
    }
  }
  EACH(p, P) {
    float written[V * LANES];
    float* to = s.lanes == V * LANES ? y + p * s.y_step : written;
    EACH(v, V) *(Vector*)(to + v * LANES) = sum[p][v];
    if (to == written) std::memcpy(y + p * s.y_step, written, 4 * s.lanes);
  }
}

// J elements of a window by V vectors of channels: sums over rows and columns of pixels.
struct Sums { long rows, columns, x_row, x_step, g_row, g_step; };
template <int J, int V> static void outer(const Sums& s, const float* x, const float* g, float* dw) {
  constexpr int U = J * V <= 4 ? 4 : J * V <= 8 ? 2 : 1;  // pixels at a time
  Vector sum[U][J][V] = {};
  for (long row = 0; row < s.rows; row++) {
    const float *xx = x + row * s.x_row, *gg = g + row * s.g_row;
    long q = 0;
    for (; q + U <= s.columns; q += U, xx += U * s.x_step, gg += U * s.g_step)
      EACH(u, U) EACH(j, J) EACH(v, V)
        sum[u][j][v] += xx[u * s.x_step + j] * *(const Vector*)(gg + u * s.g_step + v * LANES);
    for (; q < s.columns; q++, xx += s.x_step, gg += s.g_step)
      EACH(j, J) EACH(v, V) sum[0][j][v] += xx[j] * *(const Vector*)(gg + v * LANES);
  }
  EACH(u, U) EACH(j, J) EACH(v, V) *(Vector*)(dw + (j * V + v) * LANES) += sum[u][j][v];
}

// For V vectors: tile<1, V> to tile<most(V), V>, and so outer.
template <int V, int... P> constexpr auto numbered(std::integer_sequence<int, P...>) {
  return std::array{std::pair{tile<P + 1, V>, outer<P + 1, V>}...};
}
template <int V> constexpr auto OF = numbered<V>(std::make_integer_sequence<int, most(V)>());

struct Images {
  long n, h, w, c;
  Images(ffi::Span<const int64_t> d) : n(d[0]), h(d[1]), w(d[2]), c(d[3]) {}
  long size() const { return n * h * w * c; }
  // Rows y0 to y1 and columns x0 to x1 of the image at x with zeros where it has no pixels.
  const float* window(const float* x, long y0, long y1, long x0, long x1) const {
    if (y0 >= 0 && y1 <= h && x0 == 0 && x1 == w) return x + y0 * w * c;
    const long wide = x1 - x0, from = std::clamp(-x0, 0L, wide), to = std::clamp(w - x0, from, wide);
    float* found = scratch(IMAGE, (y1 - y0) * wide * c);
    for (long y = y0; y < y1; y++) {
      float* row = found + (y - y0) * wide * c;
      const bool outside = y < 0 || y >= h;
      std::memset(row, 0, 4 * (outside ? wide : from) * c);
      if (outside) continue;
      std::memcpy(row + from * c, x + (y * w + from + x0) * c, 4 * (to - from) * c);
      std::memset(row + to * c, 0, 4 * (wide - to) * c);
    }
    return found;
  }
  // How many bands of rows an image is taken in, so that one stays in the cache and there are enough.
  long bands(long rows, long floats_of_row) const {
    return std::clamp(std::max((rows * floats_of_row + 65535) / 65536, (7 + n) / n), 1L, rows);
  }
};

// One convolution: its axes, and its kernel as it lies in memory.
struct Part { Axis h, w; Layout layout; const float* kernel; };

// Images x by the kernels of all parts, which make up y.
static void convolve(ffi::ThreadPool& pool, const float* x, Images xs, const std::vector<Part>& all, float* y, Images ys) {
  long low_h = all[0].h.first, low_w = all[0].w.first, rows = 0, right = low_w;
  for (const Part& part : all) {
    low_h = std::min(low_h, part.h.first), low_w = std::min(low_w, part.w.first);
    rows = std::max(rows, part.h.count), right = std::max(right, part.layout.end(part.w));
  }
  const long wide = right - low_w, stride = all[0].h.stride, count = xs.bands(rows, wide * xs.c * stride);
  in_parallel(pool, xs.n * count, [&](long unit) {
    const long image = unit / count, band = unit % count, top = rows * band / count * stride + low_h;
    const long begin = rows * band / count, end = rows * (band + 1) / count;
    long bottom = top;
    for (const Part& part : all) bottom = std::max(bottom, part.h.end(std::min(end, part.h.count) - 1));
    const float* from = xs.window(x + image * xs.h * xs.w * xs.c, top, bottom, low_w, right);
    for (const auto& [h, w, layout, kernel] : all) {
      const std::vector<long> offsets = layout.offsets(h, w, wide);
      const long shared = layout.shared, full = w.count / shared, rest = w.count % shared * ys.c;
      for (auto [first, V] : layout.blocks) {
        const float* ww = kernel + layout.runs * layout.length * first;
        Tiles tiles{offsets.data(), layout.runs, layout.length, w.stride * shared * xs.c, w.pitch * shared * ys.c, 0};
        for (long p = begin; p < std::min(end, h.count); p++) {
          const float* xx = from + ((p * h.stride + h.first - top) * wide + w.first - low_w) * xs.c;
          float* yy = y + ((image * ys.h + h.start + p * h.pitch) * ys.w + w.start) * ys.c + first;
          auto run = [&, V = V](long q, long n) {
            (V == 1 ? OF<1>[n - 1] : OF<2>[n - 1]).first(tiles, xx + q * tiles.x_step, ww, yy + q * tiles.y_step);
          };
          tiles.lanes = std::min<long>(V * LANES, shared * ys.c - first);
          parts(full, most(V), run);
          tiles.lanes = std::min(tiles.lanes, rest - first);  // of fewer pixels than share a vector
          if (tiles.lanes > 0) run(full, 1);
        }
      }
    }
  });
}

struct Geometry {  // along height and width
  long strides[2], low[2], dilation[2];
  Geometry(ffi::Dictionary of) {
    auto read = [&](std::string name, long* to) {
      to[0] = of.get<int64_t>(name + "_h").value(), to[1] = of.get<int64_t>(name + "_w").value();
    };
    read("stride", strides), read("low", low), read("dilation", dilation);
  }
  // An axis of windows over images, for a kernel of so many taps and so many outputs.
  Axis axis(int i, long taps, long outputs) const { return {strides[i], -low[i], dilation[i], taps, outputs}; }
  // The pixels of position r of a stride: tap a reaches those where r + low - a dilation is a multiple of it, the
  // last tap first.
  std::vector<Axis> positions(int i, long taps, long pixels) const {
    std::vector<Axis> found;
    const long stride = strides[i], step = dilation[i] / std::gcd(stride, dilation[i]);
    for (long r = 0; r < std::min(stride, pixels); r++) {
      found.push_back({1, 0, step, 0, (pixels - r + stride - 1) / stride, r, stride});
      for (long a = 0; a < taps; a++)
        if (const long seen = r + low[i] - a * dilation[i]; seen % stride == 0)
          found[r].first = seen / stride, found[r].taps++;
    }
    return found;
  }
  // The tap of the kernel that is tap m of such an axis.
  long tap(int i, const Axis& axis, long m) const {
    return (axis.start + low[i] - (axis.first + m * axis.step) * strides[i]) / dilation[i];
  }
};

using Array = ffi::Buffer<ffi::F32, 4>;
using Result = ffi::ResultBuffer<ffi::F32, 4>;

static ffi::Error forward(ffi::ThreadPool pool, Array x, Array w, Result y, ffi::Dictionary of) {
  const Images xs(x.dimensions()), ws(w.dimensions()), ys(y->dimensions());
  const Geometry geometry(of);
  const Axis h = geometry.axis(0, ws.n, ys.h), v = geometry.axis(1, ws.h, ys.w);
  const Layout layout(h, v, xs.c, ys.c);
  float* kernel = scratch(KERNEL, layout.size());
  std::fill_n(kernel, layout.size(), 0);
  layout.each([&](long place, long a, long b, long i, long o, long n) {
    std::memcpy(kernel + place, w.typed_data() + ((a * ws.h + b) * ws.w + i) * ws.c + o, 4 * n);
  });
  convolve(pool, x.typed_data(), xs, {{h, v, layout, kernel}}, y->typed_data(), ys);
  return ffi::Error::Success();
}

static ffi::Error images(ffi::ThreadPool pool, Array g, Array w, Result dx, ffi::Dictionary of) {
  const Images gs(g.dimensions()), ws(w.dimensions()), xs(dx->dimensions());
  const Geometry geometry(of);
  std::vector<Part> all;
  long total = 0;
  for (const Axis& h : geometry.positions(0, ws.n, xs.h))
    for (const Axis& v : geometry.positions(1, ws.h, xs.w)) {
      all.push_back({h, v, Layout(h, v, gs.c, xs.c), nullptr});
      total += all.back().layout.size();
    }
  float* kernel = scratch(KERNEL, total);
  std::fill_n(kernel, total, 0);
  for (Part& part : all) {
    part.layout.each([&](long place, long a, long b, long o, long i, long n) {
      const long row = geometry.tap(0, part.h, a), column = geometry.tap(1, part.w, b);
      const float* from = w.typed_data() + ((row * ws.h + column) * ws.w + i) * ws.c + o;
      for (long k = 0; k < n; k++) kernel[place + k] = from[k * ws.c];
    });
    part.kernel = kernel;
    kernel += part.layout.size();
  }
  convolve(pool, g.typed_data(), gs, all, dx->typed_data(), xs);
  return ffi::Error::Success();
}

static ffi::Error kernel(ffi::ThreadPool pool, Array x, Array g, Result dw, ffi::Dictionary of) {
  const Images xs(x.dimensions()), gs(g.dimensions()), ws(dw->dimensions());
  const Geometry geometry(of);
  const Axis h = geometry.axis(0, ws.n, gs.h), v = geometry.axis(1, ws.h, gs.w);
  const Layout layout(h, v, xs.c, gs.c);
  const long columns = layout.outputs(v), right = layout.end(v), wide = right - v.first, size = layout.size();
  const long count = xs.bands(gs.h, wide * xs.c * h.stride), units = xs.n * count, lanes = layout.lanes;
  const std::vector<long> offsets = layout.offsets(h, v, wide);
  // Each share has its own sums, so that their order is not that of the threads.
  const long shares = std::min(units, std::clamp((1L << 24) / std::max(size, 1L), 4L, 16L));
  float* sums = scratch(KERNEL, shares * size);
  in_parallel(pool, shares, [&](long share) {
    float* to = sums + share * size;
    std::fill_n(to, size, 0);
    for (long unit = units * share / shares; unit < units * (share + 1) / shares; unit++) {
      const long image = unit / count, begin = gs.h * (unit % count) / count, end = gs.h * (unit % count + 1) / count;
      const float* from = xs.window(x.typed_data() + image * xs.h * xs.w * xs.c, begin * h.stride + h.first,
                                    h.end(end - 1), v.first, right);
      const float* gg = g.typed_data() + (image * gs.h + begin) * gs.w * gs.c;
      if (layout.shared > 1 || gs.c < lanes) {  // pixels that share a vector, with zeros up to the next
        float* padded = scratch(RESULT, (end - begin) * columns * lanes);
        std::fill_n(padded, (end - begin) * columns * lanes, 0);
        for (long p = 0; p < end - begin; p++)
          for (long q = 0; q < gs.w; q += layout.shared)
            std::memcpy(padded + (p * columns + q / layout.shared) * lanes, gg + (p * gs.w + q) * gs.c,
                        4 * gs.c * std::min(layout.shared, gs.w - q));
        gg = padded;
      }
      const Sums s{end - begin, columns, h.stride * wide * xs.c, v.stride * layout.shared * xs.c, columns * lanes, lanes};
      for (auto [first, V] : layout.blocks)
        for (long r = 0; r < layout.runs; r++)
          parts(layout.length, most(V), [&, first = first, V = V](long j, long n) {
            (V == 1 ? OF<1>[n - 1] : OF<2>[n - 1]).second(s, from + offsets[r] + j, gg + first,
                to + layout.length * (layout.runs * first + r * V * LANES) + j * V * LANES);
          });
    }
  });
  in_parallel(pool, shares, [&](long part) {
    for (long s = 1; s < shares; s++)
      for (long k = size * part / shares; k < size * (part + 1) / shares; k++) sums[k] += sums[s * size + k];
  });
  std::fill_n(dw->typed_data(), ws.size(), 0);
  layout.each([&](long place, long a, long b, long i, long o, long n) {
    float* to = dw->typed_data() + ((a * ws.h + b) * ws.w + i) * ws.c + o;
    for (long k = 0; k < n; k++) to[k] += sums[place + k];
  });
  return ffi::Error::Success();
}

#define CALL(NAME, FUNCTION)                                                           \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(NAME, FUNCTION, ffi::Ffi::Bind().Ctx<ffi::ThreadPool>() \
      .Arg<Array>().Arg<Array>().Ret<Array>().Attrs())
CALL(ConvolutionForward, forward);
CALL(ConvolutionImages, images);
CALL(ConvolutionKernel, kernel);
