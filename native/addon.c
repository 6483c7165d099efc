/* Module entry, and the small helpers that read arguments and make results. */
#include "ringloom.h"

bool rl_args(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, NULL, NULL) != napi_ok) return false;
  if (given < count) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot call the addon: arguments are missing");
    return false;
  }
  return true;
}

int32_t rl_int(napi_env env, napi_value value) {
  int32_t result = 0;
  if (napi_get_value_int32(env, value, &result) != napi_ok)
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot call the addon: a number was expected");
  return result;
}

double rl_double(napi_env env, napi_value value) {
  double result = 0;
  if (napi_get_value_double(env, value, &result) != napi_ok)
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot call the addon: a number was expected");
  return result;
}

napi_value rl_number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

void rl_set(napi_env env, napi_value object, const char *name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

void rl_export(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) == napi_ok)
    napi_set_named_property(env, exports, name, value);
}

NAPI_MODULE_INIT() {
  rl_source_exports(env, exports);
  rl_ring_exports(env, exports);
  rl_epoll_exports(env, exports);
  rl_loop_exports(env, exports);
  rl_watch_exports(env, exports);
  rl_system_exports(env, exports);
  return exports;
}
