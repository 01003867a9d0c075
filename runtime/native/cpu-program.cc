#include "cpu-program.h"

#include <utility>

namespace kiln {

namespace {

// Why a library is no program, or nothing.
std::optional<Failure> findFault(const kiln_program *program) {
  if (program == nullptr) return Failure{"dlsym", "the library exports no `kiln_program`"};
  if (program->abi != KILN_PROGRAM_ABI)
    return Failure{"open", "the program has interface version " + std::to_string(program->abi) + ", this runtime has " +
                               std::to_string(KILN_PROGRAM_ABI)};
  for (unsigned i = 0; i < program->entry_count; i++) {
    const kiln_entry &entry = program->entries[i];
    if (entry.name == nullptr) return Failure{"open", "entry " + std::to_string(i) + " has no name"};
    for (unsigned phase = 0; phase < entry.phase_count; phase++)
      if (entry.phases[phase] == nullptr)
        return Failure{"open", "entry " + std::string(entry.name) + " lacks phase " + std::to_string(phase)};
  }
  return std::nullopt;
}

}  // namespace

Result<std::shared_ptr<Executable>> CpuProgram::open(std::span<const std::byte> image, Team &team) {
  auto library = Library::open(image);
  if (!library.ok()) return library.failure();
  const auto *program = static_cast<const kiln_program *>(library.value().find("kiln_program"));
  if (auto fault = findFault(program)) return *fault;
  return std::shared_ptr<Executable>(new CpuProgram(std::move(library.value()), *program, team));
}

CpuProgram::CpuProgram(Library library, const kiln_program &program, Team &team)
    : library_(std::move(library)), program_(program), team_(team), policies_(program.entry_count) {
  for (unsigned i = 0; i < program.entry_count; i++) {
    const kiln_entry &entry = program.entries[i];
    shapes_.push_back({entry.name, entry.buffer_count, entry.phase_count});
  }
}

Result<long> CpuProgram::run(const Job &job) {
  auto &policy = policies_[job.entry];
  if (!policy || policy->most() != job.threads) policy.emplace(job.threads);
  return team_.run(program_.entries[job.entry], job, *policy);
}

}  // namespace kiln
