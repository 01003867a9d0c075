// Kernels compiled for a device: pipelines with the bind-group layout that the kernel's list of bindings says, each made
// once for a text and warmed up, since some drivers compile at the first dispatch. For the GPU thread.
#ifndef KILN_WGPU_PIPELINE_H
#define KILN_WGPU_PIPELINE_H

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "wgpu-device.h"

namespace kiln {

// How a kernel uses a binding, in the order of `uses` in runtime/gpu/wgpu.ts.
enum class BindingUse : std::uint8_t { read, readwrite, uniform };

struct KernelText {
  std::string name;
  std::string text;
  std::vector<BindingUse> bindings;
};

struct WgpuPipeline {
  BindGroupLayoutHandle layout;
  ComputePipelineHandle pipeline;
};

using PipelinePointer = std::shared_ptr<const WgpuPipeline>;

class PipelineCache {
 public:
  // The kernel's pipeline; on failure `call` is `kernel <number>`.
  Result<PipelinePointer> get(WgpuDevice &device, const KernelText &kernel, std::size_t number);

 private:
  // Forgets pipelines that nothing uses once there are many.
  void trim();

  std::unordered_map<std::string, PipelinePointer> pipelines_;
};

// A bind group: one range of a buffer for each binding.
Result<BindGroupHandle> makeBindGroup(WgpuDevice &device, const WgpuPipeline &pipeline,
                                      const std::vector<WGPUBindGroupEntry> &entries);

}  // namespace kiln

#endif
