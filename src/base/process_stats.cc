#include "base/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

namespace hearth {
namespace {

void read_status(ProcessStats& stats) {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name;
    std::int64_t value = 0;
    if (!(words >> name >> value)) continue;
    if (name == "RssAnon:") stats.anonymous_bytes = value * 1024;
    if (name == "RssFile:") stats.file_bytes = value * 1024;
    if (name == "VmSwap:") stats.swap_bytes = value * 1024;
    if (name == "Threads:") stats.threads = value;
  }
}

std::int64_t count_descriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), &closedir);
  if (!folder) return 0;
  std::int64_t count = -1;  // the folder's own does not count
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

double start_time() {
  // Field 22 counts from the system's start; field 2, the name, may contain spaces and brackets.
  std::ifstream own("/proc/self/stat");
  std::string text;
  std::getline(own, text);
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0.;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = 0.;
  if (!(fields >> ticks)) return 0.;

  std::ifstream system("/proc/stat");
  std::string line;
  while (std::getline(system, line)) {
    std::istringstream words(line);
    std::string name;
    double boot = 0.;
    if (words >> name && name == "btime" && words >> boot) {
      return boot + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
  }
  return 0.;
}

}  // namespace

ProcessStats process_stats() {
  ProcessStats stats;
  read_status(stats);
  stats.open_descriptors = count_descriptors();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    stats.descriptors_max = static_cast<std::int64_t>(limit.rlim_cur);
  }
  timespec cpu{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
    stats.cpu_seconds = static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) * 1e-9;
  }
  static const double start = start_time();
  stats.start_time_unix_seconds = start;
  return stats;
}

}  // namespace hearth
