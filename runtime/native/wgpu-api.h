// The functions of wgpu-native that the addon calls, looked up by name when the library is opened: there is no link-time
// dependency. The list is an allow-list: wgpu-native has functions that end the process (not implemented ones, above
// all), and none of those may be added to it.
#ifndef KILN_WGPU_API_H
#define KILN_WGPU_API_H

#include <string>

#include "failure.h"
#include "webgpu/webgpu.h"
#include "webgpu/wgpu.h"

namespace kiln {

#define KILN_WGPU_FUNCTIONS(F)             \
  F(AdapterGetInfo)                        \
  F(AdapterGetLimits)                      \
  F(AdapterInfoFreeMembers)                \
  F(AdapterHasFeature)                     \
  F(AdapterRelease)                        \
  F(AdapterRequestDevice)                  \
  F(BindGroupLayoutRelease)                \
  F(BindGroupRelease)                      \
  F(BufferDestroy)                         \
  F(BufferGetConstMappedRange)             \
  F(BufferMapAsync)                        \
  F(BufferRelease)                         \
  F(BufferUnmap)                           \
  F(CommandBufferRelease)                  \
  F(CommandEncoderBeginComputePass)        \
  F(CommandEncoderCopyBufferToBuffer)      \
  F(CommandEncoderFinish)                  \
  F(CommandEncoderRelease)                 \
  F(ComputePassEncoderDispatchWorkgroups)  \
  F(ComputePassEncoderEnd)                 \
  F(ComputePassEncoderRelease)             \
  F(ComputePassEncoderSetBindGroup)        \
  F(ComputePassEncoderSetPipeline)         \
  F(ComputePipelineRelease)                \
  F(CreateInstance)                        \
  F(DeviceCreateBindGroup)                 \
  F(DeviceCreateBindGroupLayout)           \
  F(DeviceCreateBuffer)                    \
  F(DeviceCreateCommandEncoder)            \
  F(DeviceCreateComputePipeline)           \
  F(DeviceCreatePipelineLayout)            \
  F(DeviceCreateShaderModule)              \
  F(DeviceDestroy)                         \
  F(DeviceGetLimits)                       \
  F(DeviceGetQueue)                        \
  F(DevicePoll)                            \
  F(DeviceRelease)                         \
  F(GetVersion)                            \
  F(InstanceEnumerateAdapters)             \
  F(InstanceProcessEvents)                 \
  F(InstanceRelease)                       \
  F(PipelineLayoutRelease)                 \
  F(QueueRelease)                          \
  F(QueueSubmit)                           \
  F(QueueSubmitForIndex)                   \
  F(QueueWriteBuffer)                      \
  F(ShaderModuleRelease)

struct WgpuApi {
#define KILN_WGPU_MEMBER(name) decltype(&::wgpu##name) name = nullptr;
  KILN_WGPU_FUNCTIONS(KILN_WGPU_MEMBER)
#undef KILN_WGPU_MEMBER

  // The functions of the library at `path`, which stays loaded for the rest of the process, as its threads may. Any
  // thread may call it; the same path gives the same table.
  static Result<const WgpuApi *> open(const std::string &path);
};

// Text as the library takes it; `text` must outlive it.
WGPUStringView toView(const std::string &text);
// Text that the library gave.
std::string toString(WGPUStringView view);

}  // namespace kiln

#endif
