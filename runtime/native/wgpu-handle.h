// An object of wgpu-native, released when its owner goes.
#ifndef KILN_WGPU_HANDLE_H
#define KILN_WGPU_HANDLE_H

#include <utility>

#include "wgpu-api.h"

namespace kiln {

template <class T, auto Release>
class WgpuHandle {
 public:
  WgpuHandle() = default;
  WgpuHandle(const WgpuApi &api, T raw) : api_(&api), raw_(raw) {}
  WgpuHandle(WgpuHandle &&other) noexcept
      : api_(std::exchange(other.api_, nullptr)), raw_(std::exchange(other.raw_, nullptr)) {}
  WgpuHandle &operator=(WgpuHandle &&other) noexcept {
    std::swap(api_, other.api_);
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~WgpuHandle() {
    if (raw_ != nullptr) (api_->*Release)(raw_);
  }

  T get() const { return raw_; }
  explicit operator bool() const { return raw_ != nullptr; }

 private:
  const WgpuApi *api_ = nullptr;
  T raw_ = nullptr;
};

using AdapterHandle = WgpuHandle<WGPUAdapter, &WgpuApi::AdapterRelease>;
using BindGroupHandle = WgpuHandle<WGPUBindGroup, &WgpuApi::BindGroupRelease>;
using BindGroupLayoutHandle = WgpuHandle<WGPUBindGroupLayout, &WgpuApi::BindGroupLayoutRelease>;
using BufferHandle = WgpuHandle<WGPUBuffer, &WgpuApi::BufferRelease>;
using CommandBufferHandle = WgpuHandle<WGPUCommandBuffer, &WgpuApi::CommandBufferRelease>;
using CommandEncoderHandle = WgpuHandle<WGPUCommandEncoder, &WgpuApi::CommandEncoderRelease>;
using ComputePassHandle = WgpuHandle<WGPUComputePassEncoder, &WgpuApi::ComputePassEncoderRelease>;
using ComputePipelineHandle = WgpuHandle<WGPUComputePipeline, &WgpuApi::ComputePipelineRelease>;
using DeviceHandle = WgpuHandle<WGPUDevice, &WgpuApi::DeviceRelease>;
using InstanceHandle = WgpuHandle<WGPUInstance, &WgpuApi::InstanceRelease>;
using PipelineLayoutHandle = WgpuHandle<WGPUPipelineLayout, &WgpuApi::PipelineLayoutRelease>;
using QueueHandle = WgpuHandle<WGPUQueue, &WgpuApi::QueueRelease>;
using ShaderModuleHandle = WgpuHandle<WGPUShaderModule, &WgpuApi::ShaderModuleRelease>;

}  // namespace kiln

#endif
