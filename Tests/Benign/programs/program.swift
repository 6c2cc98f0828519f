// Swift: closures, protocols, deinitialisers, errors, tasks and actors, and callbacks from C.
#if canImport(Glibc)
  import Glibc
#endif

@inline(never) func probe() {
  // Changes nothing; the default profile traps it.
  _ = setregid(gid_t.max, gid_t.max)
  precondition(getppid() >= 0 && access("/", R_OK) == 0)
}

protocol Shape { func area() -> Int }
struct Square: Shape {
  var side: Int
  func area() -> Int {
    probe()
    return side * side
  }
}

/// A chain of objects whose deinitialisers run within one another.
final class Node {
  let next: Node?
  init(_ next: Node?) { self.next = next }
  deinit { probe() }
}

/// What is destroyed by its type's witnesses alone: compiled without unwind tables, as they cannot throw.
struct Pair<First> {
  var first: First
  var second: Any
}
enum Either {
  case node(Node, any Shape)
  case pair(Pair<Node>)
  indirect case both(Either, Either)
}
final class Box<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

@inline(never) func erased(_ n: Int) -> [Any] {
  let pair = Pair(first: Node(nil), second: Box(Node(Node(nil))))
  return [
    pair, Box<Any>(pair), Either.both(.pair(pair), .node(Node(nil), Square(side: n))), [n: Box(Node(nil))], Optional(Node(nil)) as Any,
  ]
}

struct Failure: Error { var depth: Int }

@inline(never) func deep(_ levels: Int) throws -> Int {
  defer { if levels % 10 == 0 { probe() } }
  if levels == 0 { throw Failure(depth: 0) }
  return try deep(levels - 1) + 1
}

actor Counter {
  var value = 0
  func add(_ number: Int) -> Int {
    probe()
    value += number
    return value
  }
}

func fibonacci(_ n: Int, _ counter: Counter) async -> Int {
  if n < 2 {
    probe()
    return n
  }
  async let a = fibonacci(n - 1, counter)
  let b = await fibonacci(n - 2, counter)
  _ = await counter.add(1)
  return await a + b
}

struct Numbers: AsyncSequence {
  struct AsyncIterator: AsyncIteratorProtocol {
    var n = 0
    mutating func next() async -> Int? {
      probe()
      await Task.yield()
      n += 1
      return n > 50 ? nil : n
    }
  }
  func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
}

@main struct Program {
  static func main() async {
    var sum = 0
    for shape in (0..<10).map({ Square(side: $0) as any Shape }) { sum += shape.area() }
    for length in 0..<10 {
      var chain: Node?
      for _ in 0..<length { chain = Node(chain) }
      withExtendedLifetime(chain) {}
      chain = nil
    }
    for n in 0..<10 {
      var values = erased(n)
      var copies = values
      copies[n % 5] = n
      values.removeFirst()
      sum += values.count + copies.count
    }
    for n in stride(from: 0, to: 50, by: 7) { do { sum += try deep(n) } catch { sum += 1 } }
    var numbers: [Int32] = [4, 1, 3, 2]
    qsort(&numbers, numbers.count, 4) { a, b in
      probe()
      return a!.load(as: Int32.self) - b!.load(as: Int32.self)
    }
    print(
      numbers, sum,
      (1...20).map { n in "\(n)" }.sorted {
        probe(); return $0 < $1
      }.joined(separator: " "))

    let counter = Counter()
    print(await fibonacci(10, counter), await counter.value)
    var total = 0
    for await n in Numbers() { total += n }
    let parts = await withTaskGroup(of: Int.self) { group in
      for n in 0..<20 {
        group.addTask {
          try? await Task.sleep(nanoseconds: 1000); probe(); return n
        }
      }
      var parts = 0
      for await n in group { parts += n }
      return parts
    }
    print(
      total, parts,
      await Task.detached {
        probe(); return 5
      }.value)
  }
}
