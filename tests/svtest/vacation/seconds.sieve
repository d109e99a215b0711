require ["vacation-seconds"];
vacation :addresses ["tjs@example.edu"] :seconds 1800 "I am in a meeting.";
