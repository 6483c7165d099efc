/*
 * Runs a program under a seccomp profile in Docker's JSON form:
 *
 *     with-seccomp-profile program [argument...]
 *
 * The profile is compiled in: PROFILE_FILE is a file with one RULE(...) a line, in the profile's order, which test/support/seccomp-profile.ts writes. A rule
 * that matches decides; none that matches means DEFAULT_ACTION. See seccomp(2).
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "no audit architecture known for this machine"
#endif

enum comparison { ANY, EQ, NE, MASKED_EQ };

struct rule {
  unsigned int number, action, argument;
  enum comparison comparison;
  unsigned int value, wanted;
};

static const struct rule rules[] = {
#include PROFILE_FILE
};

#define RULES (sizeof rules / sizeof rules[0])
#define DATA(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The low half of an argument; all that profiles compare here fit into it. Both machines are little-endian. */
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n))
#define PUT(...) code[length++] = (struct sock_filter)__VA_ARGS__

static struct sock_filter code[BPF_MAXINSNS];

static unsigned short compile(void) {
  unsigned short length = 0;
  PUT(DATA(arch));
  PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0));
  PUT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  PUT(DATA(nr));
  for (size_t index = 0; index < RULES; index++) {
    const struct rule *rule = &rules[index];
    unsigned char skip = rule->comparison == ANY ? 1 : rule->comparison == MASKED_EQ ? 5 : 4;
    PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, rule->number, 0, skip));
    if (rule->comparison != ANY) {
      PUT(ARGUMENT(rule->argument));
      if (rule->comparison == MASKED_EQ) PUT(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, rule->value));
      unsigned int operand = rule->comparison == MASKED_EQ ? rule->wanted : rule->value;
      unsigned char is_equal = rule->comparison != NE;
      PUT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, operand, !is_equal, is_equal));
    }
    PUT(BPF_STMT(BPF_RET | BPF_K, rule->action));
    if (rule->comparison != ANY) PUT(DATA(nr));
  }
  PUT(BPF_STMT(BPF_RET | BPF_K, DEFAULT_ACTION));
  return length;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s program [argument...]\n", argv[0]);
    return 2;
  }
  struct sock_fprog program = {.filter = code};
  program.len = compile();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("cannot install the filter");
    return 1;
  }
  execvp(argv[1], argv + 1);
  perror(argv[1]);
  return 127;
}
