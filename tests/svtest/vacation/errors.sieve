require ["vacation", "vacation-seconds"];
vacation;
vacation :days "x" "text";
vacation :days 1 :seconds 60 "text";
vacation :from "no address" "text";
vacation :mime :mime "text";
vacation ["a", "b"];
