/** Which build of wgpu-native Kiln runs on, for each platform: the files it comes in and their hashes. */

/** Version of wgpu-native. The headers in `runtime/native/webgpu` are its own. */
export const wgpuVersion = "29.0.1.1";

/** Version of the Python package `wgpu` that brings it. */
export const wheelVersion = "0.32.0";

/** A platform's build: pip's name of the platform, the library's file name, SHA-256 of the package and of the library. */
export type WgpuPin = {
  readonly platform: string;
  readonly file: string;
  readonly wheel: string;
  readonly library: string;
};

/** By Node's names of platform and processor. */
export const wgpuPins: Readonly<Record<string, WgpuPin>> = {
  "linux-x64": {
    platform: "manylinux_2_28_x86_64",
    file: "libwgpu_native-release.so",
    wheel: "6499a31b5a29a10b4f1089fea4a0806411f42605fa86b6c0b543a07ca0de8568",
    library: "be0d8270dd9d78e1039eeb413ee21be8a89776a752e56d6b0f57eefbbc2d749c",
  },
  "linux-arm64": {
    platform: "manylinux_2_28_aarch64",
    file: "libwgpu_native-release.so",
    wheel: "00454ba1bc794d38c8365f4ad29f381b88ce0a7f115133bfaa6f1dfad7eb2764",
    library: "51d8a711c9a687f824712c42a206800b69f14eff8667a88f2f86936cdef0ebd0",
  },
  "darwin-arm64": {
    platform: "macosx_11_0_arm64",
    file: "libwgpu_native-release.dylib",
    wheel: "6c3f654ea01ab2de8a2903354ced02a3c6ef161d0fba1aa4fea60aa86d021908",
    library: "e72e8f1777dd0315bfee91c6b7e7b105234d5c1cc1621db4cf92ffee2ac2ae32",
  },
  "darwin-x64": {
    platform: "macosx_10_9_x86_64",
    file: "libwgpu_native-release.dylib",
    wheel: "cfd3967616a3c42e2b7a234407df38668c697f5aa505d56e0814d647b6746302",
    library: "d5175b3c0675e7f66b677a7c28537ff260a698c82fff96179247cd9c9dec6c8d",
  },
  "win32-x64": {
    platform: "win_amd64",
    file: "wgpu_native-release.dll",
    wheel: "493c8a0425c7d3cc728a2489bce40d1a016d800306e59763ff1b21e176e66323",
    library: "5e26249c40dcdac43f5adca3195fcf40e4ec6c67472b38510165f411fcc198e7",
  },
  "win32-arm64": {
    platform: "win_arm64",
    file: "wgpu_native-release.dll",
    wheel: "cb0414107825bd94538220cf3f329c83697b99b8e39c6e16e4e6726e427de75c",
    library: "511b4494a0104c6cba25d7974b9bd31879169377dd68c732a885153952071330",
  },
};
