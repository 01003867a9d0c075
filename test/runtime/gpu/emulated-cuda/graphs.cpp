// Graphs of the emulated driver.
#include <algorithm>

#include "emulator.hpp"

using namespace emulated;

namespace {

CUresult fault(const std::string &text) {
  emulator.misuse(text);
  return INVALID_VALUE;
}

// Takes a node's parameters as the driver does: what the pointers point at is copied.
CUresult readNode(const KernelNodeParams &params, Node &node, const char *name) {
  const std::string where = std::string(name) + ": ";
  bool known = false;
  node.function = reinterpret_cast<Callable *>(params.func);
  for (void *module : emulator.modules)
    for (const auto &[text, function] : static_cast<Module *>(module)->functions)
      if (function.get() == node.function) known = true;
  if (!known) return fault(where + "a function of no module that is loaded");
  if (params.gridDimX == 0 || params.gridDimY != 1 || params.gridDimZ != 1) return fault(where + "a bad grid");
  if (params.blockDimX == 0 || params.blockDimX > node.function->text.threads || params.blockDimY != 1 ||
      params.blockDimZ != 1)
    return fault(where + "a bad block");
  if (params.sharedMemBytes > static_cast<unsigned>(node.function->dynamicBytes))
    return fault(where + "more shared memory than the function was set up for");
  if (params.extra != nullptr) return fault(where + "`extra` is not emulated");
  node.groups = params.gridDimX;
  node.threads = params.blockDimX;
  node.pointers.clear();
  for (unsigned i = 0; i < node.function->text.pointers; i++) {
    void *pointer = *static_cast<void **>(params.kernelParams[i]);
    if (emulator.find(emulator.device, pointer, 1) == nullptr)
      return fault(where + "parameter " + std::to_string(i) + " of " + node.function->name + " points into no memory");
    node.pointers.push_back(pointer);
  }
  return SUCCESS;
}

CUresult runNode(const Node &node) {
  for (void *pointer : node.pointers)
    if (emulator.find(emulator.device, pointer, 1) == nullptr)
      return fault("a launch of " + node.function->name + " uses memory that was freed");
  std::vector<void *> pointers = node.pointers;
  const Module &module = *node.function->module;
  if (module.launch(node.function->name.c_str(), node.groups, node.threads, pointers.data(), 0) == 0) return SUCCESS;
  emulator.log(std::string("fault ") + module.error());
  return LAUNCH_FAILED;
}

std::uint64_t nextRandom() {
  emulator.seed ^= emulator.seed << 13;
  emulator.seed ^= emulator.seed >> 7;
  emulator.seed ^= emulator.seed << 17;
  return emulator.seed;
}

// Runs nodes in an order that their edges allow.
CUresult runNodes(const std::vector<Node> &nodes) {
  std::vector<std::size_t> open(nodes.size());
  std::vector<std::vector<std::size_t>> next(nodes.size());
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < nodes.size(); i++) {
    open[i] = nodes[i].after.size();
    for (const std::size_t before : nodes[i].after) next[before].push_back(i);
    if (open[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    std::size_t which = 0;
    if (emulator.order == "descending")
      which = static_cast<std::size_t>(std::max_element(ready.begin(), ready.end()) - ready.begin());
    else if (emulator.order == "shuffled")
      which = nextRandom() % ready.size();
    else
      which = static_cast<std::size_t>(std::min_element(ready.begin(), ready.end()) - ready.begin());
    const std::size_t node = ready[which];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(which));
    if (const CUresult result = runNode(nodes[node]); result != SUCCESS) return result;
    for (const std::size_t later : next[node])
      if (--open[later] == 0) ready.push_back(later);
  }
  return SUCCESS;
}

}  // namespace

EMULATED CUresult cuGraphCreate(CUgraph *graph, unsigned flags) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (flags != 0) return fault("cuGraphCreate: flags must be 0");
  auto *made = new Graph;
  emulator.graphs.insert(made);
  *graph = reinterpret_cast<CUgraph>(made);
  return SUCCESS;
}

EMULATED CUresult cuGraphAddKernelNode(CUgraphNode *node, CUgraph handle, const CUgraphNode *dependencies,
                                       std::size_t count, const KernelNodeParams *params) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (!alive(emulator.graphs, handle, __func__)) return INVALID_HANDLE;
  Graph &graph = *reinterpret_cast<Graph *>(handle);
  auto made = std::make_unique<Node>();
  if (const CUresult result = readNode(*params, *made, __func__); result != SUCCESS) return result;
  for (std::size_t i = 0; i < count; i++) {
    const auto found = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const auto &each) {
      return each.get() == reinterpret_cast<Node *>(dependencies[i]);
    });
    if (found == graph.nodes.end()) return fault("cuGraphAddKernelNode: it depends on a node of another graph");
    const auto index = static_cast<std::size_t>(found - graph.nodes.begin());
    if (std::count(made->after.begin(), made->after.end(), index) != 0)
      return fault("cuGraphAddKernelNode: the same edge twice");
    made->after.push_back(index);
  }
  emulator.log("node " + made->function->name + " after " + std::to_string(count));
  *node = reinterpret_cast<CUgraphNode>(made.get());
  graph.nodes.push_back(std::move(made));
  return SUCCESS;
}

EMULATED CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph handle, unsigned long long flags) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (!alive(emulator.graphs, handle, __func__)) return INVALID_HANDLE;
  if (flags != 0) return fault("cuGraphInstantiateWithFlags: unknown flags");
  auto *made = new GraphExec{reinterpret_cast<Graph *>(handle), {}};
  for (const auto &node : made->graph->nodes) made->nodes.push_back(*node);
  emulator.execs.insert(made);
  *exec = reinterpret_cast<CUgraphExec>(made);
  return SUCCESS;
}

EMULATED CUresult cuGraphExecKernelNodeSetParams(CUgraphExec handle, CUgraphNode node, const KernelNodeParams *params) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (!alive(emulator.execs, handle, __func__)) return INVALID_HANDLE;
  GraphExec &exec = *reinterpret_cast<GraphExec *>(handle);
  if (!alive(emulator.graphs, exec.graph, __func__)) return INVALID_HANDLE;
  for (std::size_t i = 0; i < exec.graph->nodes.size(); i++) {
    if (exec.graph->nodes[i].get() != reinterpret_cast<Node *>(node)) continue;
    Node changed = exec.nodes[i];
    if (const CUresult result = readNode(*params, changed, __func__); result != SUCCESS) return result;
    if (changed.function != exec.nodes[i].function) return fault("cuGraphExecKernelNodeSetParams: another function");
    exec.nodes[i] = changed;
    return SUCCESS;
  }
  return fault("cuGraphExecKernelNodeSetParams: a node of another graph");
}

EMULATED CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream) {
  Entry entry(__func__, Entry::context);
  if (entry.result() != SUCCESS) return entry.result();
  if (!alive(emulator.execs, handle, __func__) || !alive(emulator.streams, stream, __func__)) return INVALID_HANDLE;
  // A launch keeps the parameters there are now.
  return emulator.enqueue(stream, [nodes = reinterpret_cast<GraphExec *>(handle)->nodes] { return runNodes(nodes); });
}

EMULATED CUresult cuGraphExecDestroy(CUgraphExec exec) {
  Entry entry(__func__, Entry::context);
  if (!alive(emulator.execs, exec, __func__)) return INVALID_HANDLE;
  emulator.execs.erase(exec);
  delete reinterpret_cast<GraphExec *>(exec);
  return entry.released();
}

EMULATED CUresult cuGraphDestroy(CUgraph graph) {
  Entry entry(__func__, Entry::context);
  if (!alive(emulator.graphs, graph, __func__)) return INVALID_HANDLE;
  emulator.graphs.erase(graph);
  delete reinterpret_cast<Graph *>(graph);
  return entry.released();
}
