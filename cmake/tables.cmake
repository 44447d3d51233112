# A row in a .def file is the only edit when a file is added: NAME(file, …) adds <dir>/<file>.c.
function(table_sources target table dir)
  file(STRINGS ${table} rows REGEX "^[A-Z]+\\([a-z0-9_]+")
  foreach(row IN LISTS rows)
    string(REGEX REPLACE "^[A-Z]+\\(([a-z0-9_]+).*" "${dir}/\\1.c" file "${row}")
    target_sources(${target} PRIVATE ${file})
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})
endfunction()
