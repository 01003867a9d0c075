// A program opened on the processor: the shared object, and for each entry what was learned about its threads.
#ifndef KILN_CPU_PROGRAM_H
#define KILN_CPU_PROGRAM_H

#include <optional>

#include "device.h"
#include "library.h"
#include "program.h"
#include "team.h"

namespace kiln {

class CpuProgram : public Executable {
 public:
  // Opens a program that will run on `team`, which must outlive it.
  static Result<std::shared_ptr<Executable>> open(std::span<const std::byte> image, Team &team);

  const std::vector<EntryShape> &entries() const override { return shapes_; }
  Result<long> run(const Job &job) override;

 private:
  CpuProgram(Library library, const kiln_program &program, Team &team);

  Library library_;
  const kiln_program &program_;
  Team &team_;
  std::vector<EntryShape> shapes_;
  std::vector<std::optional<ThreadPolicy>> policies_;
};

}  // namespace kiln

#endif
