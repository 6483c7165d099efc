/** `ringloom/time`: sleeps, deadlines and intervals. */
export {};
