/* Of libuv, what the loop hook and the watches use. */
#ifndef RINGLOOM_LIBUV_H
#define RINGLOOM_LIBUV_H

#include <stddef.h>
#include <stdint.h>

/*
 * The few functions of libuv that the hook uses, declared here so that no header of Node is needed to build. Handles are opaque and
 * allocated by uv_handle_size. libuv keeps this part of its interface stable within major version 1, which every Node has.
 */
typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;
typedef void (*uv_handle_cb)(uv_handle_t *handle);
typedef void (*uv_poll_cb)(uv_handle_t *handle, int status, int events);
enum { UV_IDLE = 6, UV_POLL = 8, UV_PREPARE = 9, UV_READABLE = 1 };
extern size_t uv_handle_size(int type);
extern const char *uv_handle_type_name(int type);
extern void *uv_handle_get_data(const uv_handle_t *handle);
extern void uv_handle_set_data(uv_handle_t *handle, void *data);
extern int uv_prepare_init(uv_loop_t *loop, uv_handle_t *handle);
extern int uv_prepare_start(uv_handle_t *handle, uv_handle_cb callback);
extern int uv_prepare_stop(uv_handle_t *handle);
extern int uv_idle_init(uv_loop_t *loop, uv_handle_t *handle);
extern int uv_idle_start(uv_handle_t *handle, uv_handle_cb callback);
extern int uv_idle_stop(uv_handle_t *handle);
extern int uv_poll_init(uv_loop_t *loop, uv_handle_t *handle, int fd);
extern int uv_poll_start(uv_handle_t *handle, int events, uv_poll_cb callback);
extern int uv_poll_stop(uv_handle_t *handle);
extern int uv_backend_timeout(const uv_loop_t *loop);
extern int uv_backend_fd(const uv_loop_t *loop);
extern void uv_update_time(uv_loop_t *loop);
extern uint64_t uv_now(const uv_loop_t *loop);
extern void uv_ref(uv_handle_t *handle);
extern void uv_unref(uv_handle_t *handle);
extern void uv_close(uv_handle_t *handle, uv_handle_cb callback);

#endif
