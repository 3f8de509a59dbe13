package dev.gridtie.grid.engine;

import java.io.IOException;
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
import java.util.Comparator;
import java.util.regex.Pattern;
import java.util.stream.Stream;

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

  /** As its package names it: perhaps with what it was built for, and its version. */
  private static Path file(Path folder, String name, String version) {
    Pattern named =
        Pattern.compile(
            "lib"
                + Pattern.quote(name)
                + "(\\.[a-z]+)?(\\.v"
                + Pattern.quote(version)
                + ")?\\.(so|dylib)");
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .filter(f -> named.matcher(f.getFileName().toString()).matches())
          .min(Comparator.comparing(Path::toString))
          .orElseThrow(() -> new NativeException("there is no lib" + name + " in " + folder));
    } catch (IOException e) {
      throw new NativeException("the libraries in " + folder + " cannot be looked at");
    }
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
