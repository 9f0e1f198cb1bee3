// tmux.h — A terminal that a test types into and looks at: a shell in a window of tmux, on a server of its own.
#pragma once

#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/process.h"

namespace weir::test {

struct ScreenSize {
  unsigned columns = 0;
  unsigned lines = 0;
};

class Tmux {
 public:
  static bool is_installed() { return std::system("command -v tmux >/dev/null 2>&1") == 0; }

  /// Ready when the shell has shown its prompt. The server dies with the test, and the shell with it.
  Tmux(const TemporaryFolder& folder, ScreenSize size) : folder_(folder), socket_(folder / "tmux.sock") {
    // No configuration but this: the test machine's owner may have one.
    server_ = std::make_unique<Process>(folder_, std::vector<std::string>{"tmux", "-S", socket_, "-f", "/dev/null", "-D"},
                                        std::vector<std::string>{"TMUX=", "TERM=xterm", "LC_ALL=C.UTF-8"});
    is_ready_ = eventually([&] {
      return ask({"new-session", "-d", "-x", std::to_string(size.columns), "-y", std::to_string(size.lines),
                  "env ENV= PS1='prompt> ' sh"})
                 .status == 0;
    });
    is_ready_ = is_ready_ && shows("prompt>");
  }
  ~Tmux() { ask({"kill-server"}); }
  Tmux(const Tmux&) = delete;
  Tmux& operator=(const Tmux&) = delete;

  bool is_ready() const { return is_ready_; }

  /// As somebody would: the words of send-keys.
  void press(const std::string& key) { ask({"send-keys", key}); }
  void type(const std::string& text) { ask({"send-keys", "-l", text}); }
  void enter(const std::string& line) {
    type(line);
    press("Enter");
  }
  void resize(ScreenSize size) {
    ask({"resize-window", "-x", std::to_string(size.columns), "-y", std::to_string(size.lines)});
  }

  /// What is to be seen, without blanks at the ends of lines.
  std::vector<std::string> lines() {
    std::vector<std::string> found;
    std::istringstream in(ask({"capture-pane", "-p"}).out);
    for (std::string line; std::getline(in, line);) found.push_back(line);
    return found;
  }
  std::string screen() {
    std::string text;
    for (const std::string& line : lines()) text += line + "\n";
    return text;
  }
  bool shows(const std::string& words) {
    return eventually([&] { return screen().find(words) != std::string::npos; }, kPatience);
  }
  /// Of tmux's formats: alternate_on, cursor_flag, …
  std::string state(const std::string& name) {
    std::string text = ask({"display-message", "-p", "#{" + name + "}"}).out;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

  static constexpr std::chrono::milliseconds kPatience = 60s;  // a hang, not a measure

 private:
  struct Answer {
    int status;
    std::string out;
  };
  Answer ask(std::vector<std::string> words) {
    words.insert(words.begin(), {"tmux", "-S", socket_});
    Process process(folder_, std::move(words), {"TMUX="});
    const int status = process.wait();
    return {status, process.out()};
  }

  const TemporaryFolder& folder_;
  const std::string socket_;
  std::unique_ptr<Process> server_;
  bool is_ready_ = false;
};

}  // namespace weir::test
