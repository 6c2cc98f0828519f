// Exceptions through frames of every kind, with system calls from destructors and handlers; iostreams, threads and futures.
#include "probe.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static int alive;

struct Guard {
  Guard() { alive++; }
  ~Guard() {
    probe();
    alive--;
  }
};

struct Shape {
  virtual ~Shape() { probe(); }
  virtual int area() const = 0;
};
struct Square : virtual Shape {
  explicit Square(int side) : side(side) {}
  int area() const override {
    probe();
    return side * side;
  }
  int side;
};

APART static int thrower(int depth) {
  Guard guard;
  if (depth == 0) throw std::runtime_error("from far down");
  return thrower(depth - 1) + 1;
}

APART static int no_except(int depth) noexcept {
  try {
    return thrower(depth);
  } catch (const std::runtime_error &error) {
    probe();
    return static_cast<int>(std::string(error.what()).size());
  }
}

APART static void rethrows() {
  try {
    thrower(3);
  } catch (...) {
    probe();
    std::throw_with_nested(std::logic_error("outer"));
  }
}

struct Dying {
  ~Dying() noexcept(false) {
    probe();
    throw 7;
  }
};

int main() {
  long sum = 0;
  for (int round = 0; round < 20; round++) {
    sum += no_except(round);
    try {
      rethrows();
    } catch (const std::exception &outer) {
      try {
        std::rethrow_if_nested(outer);
      } catch (const std::exception &inner) {
        probe();
        sum += std::string(outer.what()).size() + std::string(inner.what()).size();
      }
    }
    try {
      Dying dying;
    } catch (int value) {
      sum += value;
    }
    std::exception_ptr kept;
    std::thread thread([&kept] {
      try {
        thrower(2);
      } catch (...) {
        kept = std::current_exception();
      }
    });
    thread.join();
    try {
      std::rethrow_exception(kept);
    } catch (const std::exception &) {
      probe();
      sum++;
    }
    auto future = std::async(std::launch::async, [round]() -> int {
      probe();
      if (round % 2) throw round;
      return round;
    });
    try {
      sum += future.get();
    } catch (int value) {
      sum += value;
    }
    std::vector<std::unique_ptr<Shape>> shapes;
    for (int side = 0; side < 3; side++) shapes.push_back(std::make_unique<Square>(side));
    std::sort(shapes.begin(), shapes.end(), [](const auto &a, const auto &b) { return a->area() > b->area(); });
    std::function<int(int)> recursive = [&recursive](int n) {
      if (n == 0) probe();
      return n == 0 ? 0 : recursive(n - 1) + 1;
    };
    sum += recursive(20);
  }
  std::smatch match;
  std::string text = "one two three";
  std::regex_search(text, match, std::regex("(t\\w+) (t\\w+)"));
  std::ostringstream out;
  out << match[1] << ' ' << match[2] << ' ' << sum << ' ' << alive << '\n';
  std::cout << out.str() << std::flush;
}
