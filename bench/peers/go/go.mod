module ringloom-bench

go 1.19
