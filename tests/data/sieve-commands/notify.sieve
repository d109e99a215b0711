require "enotify";
notify :importance "1" :message "새 메일이 왔습니다" "mailto:phone@example.net?cc=pager@example.net";
