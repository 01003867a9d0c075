// bytes of data sets as numbers
// tasks 4, threads 4, floating-point operations 0

@group(0) @binding(0) var<storage, read> mixed: array<u32>;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> whole: array<u32>;
@group(0) @binding(3) var<storage, read_write> one: array<f32>;
@group(0) @binding(4) var<storage, read_write> flag: array<i32>;
@group(0) @binding(5) var<storage, read_write> four: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> few: array<vec4<i32>>;

@compute @workgroup_size(4)
fn kiln_k_bytes(@builtin(workgroup_id) kiln_group: vec3<u32>, @builtin(local_invocation_index) kiln_thread: u32) {
  let thread: i32 = i32(kiln_thread);
  let task: i32 = i32(kiln_group.x);
  let i: i32 = task * 4 + thread;
  let kiln_0: i32 = i * 3 + 2;
  one[i] = f32(i32(extractBits(mixed[kiln_0 >> 2u], u32(kiln_0 & 3) * 8u, 8u)));
  let kiln_1: i32 = i + 1;
  flag[i] = i32((extractBits(flags[kiln_1 >> 2u], u32(kiln_1 & 3) * 8u, 8u) != 0u));
  four[i] = vec4<f32>(vec4<i32>(((vec4<u32>(whole[(i * 4) >> 2u]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u))));
  few[i] = vec4<i32>(i32(extractBits(mixed[i >> 2u], u32(i & 3) * 8u, 8u)), i32(extractBits(mixed[(i + 1) >> 2u], u32((i + 1) & 3) * 8u, 8u)), i32(extractBits(mixed[(i + 2) >> 2u], u32((i + 2) & 3) * 8u, 8u)), i32(extractBits(mixed[(i + 3) >> 2u], u32((i + 3) & 3) * 8u, 8u)));
}
