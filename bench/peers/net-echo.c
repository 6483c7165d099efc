/*
 * The server of the suite `net`: an echo over TCP, a plain thread for each connection, blocking calls, 64 KiB of buffer, no delay. It says where it listens, and serves until it is ended.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char *buffer = malloc(BUFFER_BYTES);
	for (;;) {
		ssize_t count = buffer == NULL ? 0 : recv(fd, buffer, BUFFER_BYTES, 0);
		if (count <= 0) break;
		for (ssize_t sent = 0; sent < count;) {
			ssize_t taken = send(fd, buffer + sent, (size_t)(count - sent), MSG_NOSIGNAL);
			if (taken <= 0) {
				count = 0;
				break;
			}
			sent += taken;
		}
		if (count == 0) break;
	}
	free(buffer);
	close(fd);
	return NULL;
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof address;
	int one = 1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 128) < 0) {
		perror("listen");
		return 1;
	}
	getsockname(listener, (struct sockaddr *)&address, &length);
	printf("listening http://127.0.0.1:%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0) return 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0) close(fd);
		else pthread_detach(thread);
	}
}
