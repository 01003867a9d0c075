#include "wgpu-pipeline.h"

#include <algorithm>
#include <utility>

namespace kiln {

namespace {

constexpr std::size_t mostPipelines = 1024;
// WebGPU's default limit of a uniform binding.
constexpr std::uint64_t mostUniformBytes = 65536;

WGPUBufferBindingType typeOf(BindingUse use) {
  switch (use) {
    case BindingUse::readwrite:
      return WGPUBufferBindingType_Storage;
    case BindingUse::uniform:
      return WGPUBufferBindingType_Uniform;
    default:
      return WGPUBufferBindingType_ReadOnlyStorage;
  }
}

BindGroupLayoutHandle makeLayout(WgpuDevice &device, const std::vector<BindingUse> &bindings) {
  std::vector<WGPUBindGroupLayoutEntry> entries(bindings.size());
  for (std::size_t i = 0; i < bindings.size(); i++) {
    entries[i].binding = static_cast<std::uint32_t>(i);
    entries[i].visibility = WGPUShaderStage_Compute;
    entries[i].buffer.type = typeOf(bindings[i]);
  }
  WGPUBindGroupLayoutDescriptor descriptor{};
  descriptor.entryCount = entries.size();
  descriptor.entries = entries.data();
  return BindGroupLayoutHandle(device.api(), device.api().DeviceCreateBindGroupLayout(device.device(), &descriptor));
}

// Reports errors to the capture of the caller.
WgpuPipeline make(WgpuDevice &device, const KernelText &kernel, const ErrorCapture &errors) {
  const WgpuApi &api = device.api();
  WgpuPipeline made;
  WGPUShaderSourceWGSL source{};
  source.chain.sType = WGPUSType_ShaderSourceWGSL;
  source.code = toView(kernel.text);
  WGPUShaderModuleDescriptor moduleDescriptor{};
  moduleDescriptor.nextInChain = &source.chain;
  const ShaderModuleHandle module(api, api.DeviceCreateShaderModule(device.device(), &moduleDescriptor));
  if (errors.failed()) return made;
  made.layout = makeLayout(device, kernel.bindings);
  if (errors.failed()) return made;
  WGPUBindGroupLayout layout = made.layout.get();
  WGPUPipelineLayoutDescriptor layoutDescriptor{};
  layoutDescriptor.bindGroupLayoutCount = 1;
  layoutDescriptor.bindGroupLayouts = &layout;
  const PipelineLayoutHandle whole(api, api.DeviceCreatePipelineLayout(device.device(), &layoutDescriptor));
  if (errors.failed()) return made;
  WGPUComputePipelineDescriptor descriptor{};
  descriptor.layout = whole.get();
  descriptor.compute.module = module.get();
  descriptor.compute.entryPoint = toView(kernel.name);
  made.pipeline = ComputePipelineHandle(api, api.DeviceCreateComputePipeline(device.device(), &descriptor));
  return made;
}

// Dispatches no work-group at all, on buffers made for it, with `bytes` for each binding: nothing of the kernel runs, but
// the driver prepares it. It may fail where the kernel's bindings are larger.
bool warmUp(WgpuDevice &device, const WgpuPipeline &pipeline, const std::vector<BindingUse> &bindings,
            std::uint64_t bytes) {
  const WgpuApi &api = device.api();
  // A buffer is either read or written within a dispatch.
  auto read = device.allocate(bytes, WGPUBufferUsage_Storage | WGPUBufferUsage_Uniform);
  auto written = device.allocate(bytes * (bindings.size() + 1), WGPUBufferUsage_Storage);
  if (!read.ok() || !written.ok()) return false;
  std::vector<WGPUBindGroupEntry> entries(bindings.size());
  for (std::size_t i = 0; i < bindings.size(); i++) {
    const bool writes = bindings[i] == BindingUse::readwrite;
    entries[i].binding = static_cast<std::uint32_t>(i);
    entries[i].buffer = (writes ? written : read).value()->get();
    entries[i].offset = writes ? i * bytes : 0;
    entries[i].size = bindings[i] == BindingUse::uniform ? std::min(bytes, mostUniformBytes) : bytes;
  }
  auto group = makeBindGroup(device, pipeline, entries);
  if (!group.ok()) return false;
  auto sent = device.submit("load", [&](WGPUCommandEncoder encoder) {
    const ComputePassHandle pass(api, api.CommandEncoderBeginComputePass(encoder, nullptr));
    api.ComputePassEncoderSetPipeline(pass.get(), pipeline.pipeline.get());
    api.ComputePassEncoderSetBindGroup(pass.get(), 0, group.value().get(), 0, nullptr);
    api.ComputePassEncoderDispatchWorkgroups(pass.get(), 0, 1, 1);
    api.ComputePassEncoderEnd(pass.get());
  });
  return sent.ok() && device.wait("load", nullptr).ok();
}

}  // namespace

Result<PipelinePointer> PipelineCache::get(WgpuDevice &device, const KernelText &kernel, std::size_t number) {
  if (auto why = device.lost()) return *why;
  std::string key = kernel.name + '\0';
  for (const BindingUse use : kernel.bindings) key += static_cast<char>('0' + static_cast<int>(use));
  key += '\0' + kernel.text;
  if (const auto found = pipelines_.find(key); found != pipelines_.end()) return found->second;
  auto made = std::make_shared<WgpuPipeline>();
  {
    ErrorCapture errors;
    *made = make(device, kernel, errors);
    const std::string call = "kernel " + std::to_string(number);
    if (errors.failed()) return errors.failure(call.c_str());
    if (!made->pipeline) return Failure{call, "there is no pipeline"};
  }
  // Small buffers do for kernels whose bindings are arrays without a length.
  if (!warmUp(device, *made, kernel.bindings, 1024)) warmUp(device, *made, kernel.bindings, std::uint64_t{1} << 20);
  if (auto why = device.lost()) return *why;
  trim();
  pipelines_.emplace(std::move(key), made);
  return PipelinePointer(std::move(made));
}

void PipelineCache::trim() {
  if (pipelines_.size() < mostPipelines) return;
  std::erase_if(pipelines_, [](const auto &entry) { return entry.second.use_count() == 1; });
}

Result<BindGroupHandle> makeBindGroup(WgpuDevice &device, const WgpuPipeline &pipeline,
                                      const std::vector<WGPUBindGroupEntry> &entries) {
  ErrorCapture errors;
  WGPUBindGroupDescriptor descriptor{};
  descriptor.layout = pipeline.layout.get();
  descriptor.entryCount = entries.size();
  descriptor.entries = entries.data();
  BindGroupHandle group(device.api(), device.api().DeviceCreateBindGroup(device.device(), &descriptor));
  if (errors.failed()) return errors.failure("sequence");
  return group;
}

}  // namespace kiln
