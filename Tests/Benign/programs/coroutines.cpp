// C++20 coroutines: frames on the heap, resumed from anywhere, also from another thread.
#include "probe.h"

#include <coroutine>
#include <cstdio>
#include <exception>
#include <thread>
#include <utility>

struct Generator {
  struct promise_type {
    int value = 0;
    Generator get_return_object() { return Generator(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int next) {
      value = next;
      probe();
      return {};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  explicit Generator(std::coroutine_handle<promise_type> handle) : handle(handle) {}
  Generator(Generator &&other) : handle(std::exchange(other.handle, nullptr)) {}
  ~Generator() {
    if (handle) handle.destroy();
  }
  bool next() {
    handle.resume();
    return !handle.done();
  }
  int value() const { return handle.promise().value; }
  std::coroutine_handle<promise_type> handle;
};

static Generator numbers(int first, int last) {
  for (int n = first; n < last; n++) {
    probe();
    co_yield n;
  }
}
static Generator tree(int depth) {
  if (depth > 0) {
    for (auto left = tree(depth - 1); left.next();) co_yield left.value();
    co_yield depth;
    for (auto right = tree(depth - 1); right.next();) co_yield right.value();
  }
}

int main() {
  long sum = 0;
  for (auto generator = numbers(0, 100); generator.next();) sum += generator.value();
  for (auto generator = tree(5); generator.next();) sum += generator.value();
  auto shared = numbers(5, 10);
  for (int i = 0; i < 3; i++) std::thread([&] { sum += shared.next() ? shared.value() : 0; }).join();
  std::printf("%ld\n", sum);
}
