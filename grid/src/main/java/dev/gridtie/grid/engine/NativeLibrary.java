package dev.gridtie.grid.engine;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A native library whose functions are called by name. It stays loaded as long as its arena lives.
 */
final class NativeLibrary {
  private final SymbolLookup symbols;
  private final Arena arena;

  /** The library is not the one that this code was written for, or would not do what was asked. */
  static final class NativeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    NativeException(String message) {
      super(message);
    }
  }

  /**
   * Loads a library.
   *
   * @param folder where it lies
   * @param name without prefix and suffix
   * @param version that its file may carry in its name
   */
  NativeLibrary(Path folder, String name, String version, Arena arena) {
    this.arena = arena;
    this.symbols = SymbolLookup.libraryLookup(file(folder, name, version), arena);
  }

  private static Path file(Path folder, String name, String version) {
    List<String> candidates =
        List.of(
            "lib" + name + ".so",
            "lib" + name + ".v" + version + ".so",
            "lib" + name + ".dylib",
            "lib" + name + ".v" + version + ".dylib");
    return candidates.stream()
        .map(folder::resolve)
        .filter(Files::exists)
        .findFirst()
        .orElseThrow(() -> new NativeException("there is no lib" + name + " in " + folder));
  }

  /** A handle for calls that are made often. */
  MethodHandle handle(String function, FunctionDescriptor type) {
    MemorySegment address =
        symbols
            .find(function)
            .orElseThrow(() -> new NativeException("the library has no " + function));
    return Linker.nativeLinker().downcallHandle(address, type);
  }

  /** Calls a function, for calls that are made seldom. A function without a result gives NULL. */
  Object call(String function, FunctionDescriptor type, Object... arguments) {
    try {
      Object result = handle(function, type).invokeWithArguments(arguments);
      return result == null ? MemorySegment.NULL : result;
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** Calls a function that takes nothing and gives a struct by value. */
  MemorySegment struct(String function, StructLayout layout) {
    try {
      return (MemorySegment)
          handle(function, FunctionDescriptor.of(layout)).invoke((SegmentAllocator) arena);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** What a method handle threw, as something that need not be declared. */
  static RuntimeException rethrown(Throwable e) {
    return switch (e) {
      case RuntimeException runtime -> runtime;
      case Error error -> throw error;
      default -> new IllegalStateException(e);
    };
  }
}
