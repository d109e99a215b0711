if true { stop; }
redirect "inner@example.org";
